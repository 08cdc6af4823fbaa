import type { MailTemplate } from '../../../mail/mail-templates.js';
import { type ByUser, byUser } from '../../mail/account-mail.texts.js';

/** What a mail about recovery codes is written from. */
export interface CodesLeft {
  readonly left: number;
}

export const totpSwitchedOnMail: MailTemplate<ByUser, null> = {
  name: 'totp-switched-on',
  data: byUser,
  texts: {
    en: () => ({
      subject: 'Signing in now takes two steps',
      text: `Hello,

from now on your account at Atelier asks for a code of your authenticator when you sign in. Keep the recovery codes that you were shown where you find them without your phone.

If it was not you who switched this on, tell the people who run Atelier at once.
`,
    }),
    es: () => ({
      subject: 'Ahora se inicia sesión en dos pasos',
      text: `Hola:

Desde ahora tu cuenta en Atelier pide un código de tu aplicación de autenticación al iniciar sesión. Guarda los códigos de recuperación que se te mostraron donde los encuentres sin tu teléfono.

Si no lo has activado tú, avisa enseguida a quienes llevan Atelier.
`,
    }),
  },
};

export const totpSwitchedOffMail: MailTemplate<ByUser, null> = {
  name: 'totp-switched-off',
  data: byUser,
  texts: {
    en: () => ({
      subject: 'Signing in no longer asks for a code',
      text: `Hello,

two factors were switched off for your account at Atelier: your password, or Google, is enough to sign in from now on. If you did not do that, and did not ask for it, choose another password and tell the people who run Atelier at once.
`,
    }),
    es: () => ({
      subject: 'Ya no se pide un código al iniciar sesión',
      text: `Hola:

Se ha desactivado la verificación en dos pasos de tu cuenta en Atelier: desde ahora basta con tu contraseña, o con Google, para iniciar sesión. Si no lo has hecho tú ni lo has pedido, elige otra contraseña y avisa enseguida a quienes llevan Atelier.
`,
    }),
  },
};

export const recoveryCodeUsedMail: MailTemplate<ByUser, CodesLeft> = {
  name: 'recovery-code-used',
  data: byUser,
  texts: {
    en: ({ left }) => ({
      subject: 'A recovery code was used',
      text: `Hello,

one of the recovery codes of your account at Atelier was used in place of your authenticator. Recovery codes left: ${left}.

If it was not you, somebody has your codes and your password: choose another password, and have new codes made.
`,
    }),
    es: ({ left }) => ({
      subject: 'Se ha usado un código de recuperación',
      text: `Hola:

Se ha usado uno de los códigos de recuperación de tu cuenta en Atelier en lugar de tu aplicación de autenticación. Códigos de recuperación que quedan: ${left}.

Si no has sido tú, alguien tiene tus códigos y tu contraseña: elige otra contraseña y genera códigos nuevos.
`,
    }),
  },
};

/** Only who has the password gets so far. */
export const codesLockedMail: MailTemplate<ByUser, null> = {
  name: 'codes-locked',
  data: byUser,
  texts: {
    en: () => ({
      subject: 'Many wrong codes for your account',
      text: `Hello,

somebody has your password for Atelier and tries to guess the code of your authenticator. They have not got in. Codes of the authenticator are taken only once an hour until one is right; recovery codes are taken as always.

If it was not you, choose another password: nobody can go on trying then.
`,
    }),
    es: () => ({
      subject: 'Muchos códigos incorrectos en tu cuenta',
      text: `Hola:

Alguien tiene tu contraseña de Atelier e intenta adivinar el código de tu aplicación de autenticación. No ha conseguido entrar. Los códigos de la aplicación se aceptan solo una vez por hora hasta que uno sea correcto; los de recuperación, como siempre.

Si no has sido tú, elige otra contraseña: así nadie podrá seguir probando.
`,
    }),
  },
};

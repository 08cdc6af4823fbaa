import { z } from 'zod';
import type { MailTemplate } from '../../mail/mail-templates.js';

export const byUser = z.strictObject({ userId: z.uuid() });
export type ByUser = z.output<typeof byUser>;

const byAddress = z.strictObject({});
export type ByAddress = z.output<typeof byAddress>;

/** What most of these mails are about. */
export interface LinkFacts {
  /** Leads to the page of the app that uses the token. */
  readonly link: string;
}

export const verificationMail: MailTemplate<ByUser, LinkFacts> = {
  name: 'verify-email',
  data: byUser,
  texts: {
    en: ({ link }) => ({
      subject: 'Confirm your e-mail address',
      text: `Hello,

somebody has made an account at Atelier with this address. If that was you, confirm that the address is yours:

${link}

The link works once, within three days, and asks you to sign in. If it was not you, do nothing.
`,
    }),
    es: ({ link }) => ({
      subject: 'Confirma tu dirección de correo',
      text: `Hola:

Alguien ha creado una cuenta en Atelier con esta dirección. Si has sido tú, confirma que la dirección es tuya:

${link}

El enlace funciona una sola vez, durante tres días, y pide que inicies sesión. Si no has sido tú, no hagas nada.
`,
    }),
  },
};

export const passwordResetMail: MailTemplate<ByAddress, LinkFacts> = {
  name: 'reset-password',
  data: byAddress,
  texts: {
    en: ({ link }) => ({
      subject: 'Choose a new password',
      text: `Hello,

somebody has asked for a new password for your account at Atelier. If that was you, choose it here:

${link}

The link works once, within an hour. You will be signed out everywhere. If it was not you, do nothing: your password stays as it is.
`,
    }),
    es: ({ link }) => ({
      subject: 'Elige una contraseña nueva',
      text: `Hola:

Alguien ha pedido una contraseña nueva para tu cuenta en Atelier. Si has sido tú, elígela aquí:

${link}

El enlace funciona una sola vez, durante una hora. Se cerrarán todas tus sesiones. Si no has sido tú, no hagas nada: tu contraseña sigue siendo la misma.
`,
    }),
  },
};

export const emailChangeMail: MailTemplate<ByUser, LinkFacts> = {
  name: 'change-email',
  data: byUser,
  texts: {
    en: ({ link }) => ({
      subject: 'Confirm your new e-mail address',
      text: `Hello,

somebody wants to use this address for their account at Atelier. If that was you, confirm it here:

${link}

The link works once, within a day, and asks you to sign in. If it was not you, do nothing.
`,
    }),
    es: ({ link }) => ({
      subject: 'Confirma tu nueva dirección de correo',
      text: `Hola:

Alguien quiere usar esta dirección para su cuenta en Atelier. Si has sido tú, confírmalo aquí:

${link}

El enlace funciona una sola vez, durante un día, y pide que inicies sesión. Si no has sido tú, no hagas nada.
`,
    }),
  },
};

/** To the address that an account had before. */
export const emailChangedMail: MailTemplate<ByUser, null> = {
  name: 'email-changed',
  data: byUser,
  texts: {
    en: () => ({
      subject: 'Your e-mail address was changed',
      text: `Hello,

your account at Atelier has another e-mail address from now on; this one can no longer be used to sign in. If it was not you who changed it, tell the people who run Atelier at once.
`,
    }),
    es: () => ({
      subject: 'Tu dirección de correo ha cambiado',
      text: `Hola:

Desde ahora tu cuenta en Atelier tiene otra dirección de correo, y con esta ya no se puede iniciar sesión. Si no la has cambiado tú, avisa enseguida a quienes llevan Atelier.
`,
    }),
  },
};

export const passwordChangedMail: MailTemplate<ByUser, null> = {
  name: 'password-changed',
  data: byUser,
  texts: {
    en: () => ({
      subject: 'Your password was changed',
      text: `Hello,

the password of your account at Atelier was changed, and all devices were signed out. If it was not you, choose a new password at once with "Forgot your password?", and tell the people who run Atelier.
`,
    }),
    es: () => ({
      subject: 'Tu contraseña ha cambiado',
      text: `Hola:

La contraseña de tu cuenta en Atelier ha cambiado y se ha cerrado la sesión en todos los dispositivos. Si no has sido tú, elige enseguida una contraseña nueva con «¿Has olvidado tu contraseña?» y avisa a quienes llevan Atelier.
`,
    }),
  },
};

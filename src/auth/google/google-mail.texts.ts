import type { MailTemplate } from '../../mail/mail-templates.js';
import { type ByUser, byUser } from '../mail/account-mail.texts.js';

export const googleLinkedMail: MailTemplate<ByUser, null> = {
  name: 'google-linked',
  data: byUser,
  texts: {
    en: () => ({
      subject: 'A Google account now opens your account',
      text: `Hello,

from now on a Google account can be used to sign in to your account at Atelier. If it was not you who linked it, choose a new password as if you had forgotten yours: that unlinks it, and signs everybody out.
`,
    }),
    es: () => ({
      subject: 'Una cuenta de Google abre ahora tu cuenta',
      text: `Hola:

Desde ahora se puede iniciar sesión en tu cuenta en Atelier con una cuenta de Google. Si no la has vinculado tú, elige una contraseña nueva como si hubieras olvidado la tuya: así se desvincula y se cierran todas las sesiones.
`,
    }),
  },
};

export const googleUnlinkedMail: MailTemplate<ByUser, null> = {
  name: 'google-unlinked',
  data: byUser,
  texts: {
    en: () => ({
      subject: 'No Google account opens your account any more',
      text: `Hello,

the Google account that opened your account at Atelier was unlinked; sign in with your password. If it was not you, somebody knows it: choose a new one as if you had forgotten it.
`,
    }),
    es: () => ({
      subject: 'Ninguna cuenta de Google abre ya tu cuenta',
      text: `Hola:

Se ha desvinculado la cuenta de Google que abría tu cuenta en Atelier; inicia sesión con tu contraseña. Si no has sido tú, alguien la conoce: elige una nueva como si la hubieras olvidado.
`,
    }),
  },
};

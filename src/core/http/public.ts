import { applyDecorators, SetMetadata } from '@nestjs/common';
import { Described, NO_SECURITY } from '../openapi/openapi-decorators.js';

/** Who may use a route that is not closed to those who are not signed in. */
export type PublicAccess = 'anyone' | 'anyone-or-user';

export const PUBLIC_ACCESS = 'auth:public-access';

/**
 * Opens a route to everyone; every other route needs a signed-in user.
 *
 * @param access with `anyone-or-user` a token is still looked at when there is one
 */
export function Public(access: PublicAccess = 'anyone') {
  const security = access === 'anyone' ? NO_SECURITY : [{ bearer: [] }, {}];
  return applyDecorators(
    SetMetadata(PUBLIC_ACCESS, access),
    Described(({ DECORATORS }) => SetMetadata(DECORATORS.API_SECURITY, security)),
  );
}

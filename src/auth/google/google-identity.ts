import { z } from 'zod';
import { displayName, emailAddress, languageTag } from '../users/user.schema.js';

/** Who somebody is, as Google says. */
export interface GoogleIdentity {
  /** Google's `sub`: stays with the person when the address changes. */
  readonly googleId: string;
  readonly email: string | null;
  readonly isEmailVerified: boolean;
  readonly firstName: string | null;
  readonly lastName: string | null;
  /** A language tag of BCP 47. */
  readonly language: string | null;
}

/**
 * The claims of OpenID Connect that user info and ID tokens share. The `sub` has to be there; the rest
 * people write themselves, and what of it fits nothing here is as if it were not told.
 */
const claimsSchema = z.object({
  sub: z.string().regex(/^[\x21-\x7e]{1,255}$/),
  email: emailAddress.nullable().catch(null),
  // Nothing but true: what "false" would be is a guess.
  email_verified: z.literal(true).nullable().catch(null),
  name: displayName.nullable().catch(null),
  given_name: displayName.nullable().catch(null),
  family_name: displayName.nullable().catch(null),
  locale: languageTag.nullable().catch(null),
});

/** @returns undefined for what is not about anybody */
export function readIdentity(told: unknown): GoogleIdentity | undefined {
  const { data: claims } = claimsSchema.safeParse(told);
  if (!claims) return undefined;
  const { given_name: given, family_name: family } = claims;
  return {
    googleId: claims.sub,
    email: claims.email,
    isEmailVerified: claims.email !== null && claims.email_verified === true,
    firstName: given ?? (family === null ? claims.name : null),
    lastName: family,
    language: claims.locale,
  };
}

import { randomBytes } from 'node:crypto';

/** What no line, answer or row of ours says by itself. */
const MARK = 'kanarie';

/** How much of a text is shown around what was found in it. */
const CONTEXT = 120;

/** A secret to plant. Wherever a part of it comes out, {@link findCanaries} finds it. */
export function canary(where: string): string {
  return `${MARK}_${where.replace(/\W+/g, '_')}_${randomBytes(12).toString('hex')}`;
}

/** Where in a text there is a canary, in whatever spelling. */
export function findCanaries(text: string): string[] {
  return findSecret(text, MARK);
}

/** Where in a text a secret stands, plainly or as hex, base64 or base64url. */
export function findSecret(text: string, secret: string): string[] {
  return findSecrets(text, [secret]).map(({ found }) => found);
}

/** The same for many, in a text that may be long. */
export function findSecrets(
  text: string,
  secrets: Iterable<string>,
): { secret: string; found: string }[] {
  const folded = text.toLowerCase();
  return [...secrets].flatMap((secret) => {
    const hex = Buffer.from(secret).toString('hex');
    const places = [
      ...placesOf(folded, secret.toLowerCase()),
      ...placesOf(folded, hex),
      ...base64Of(secret).flatMap((spelling) => placesOf(text, spelling)),
    ];
    return places.map((at) => ({
      secret,
      found: text.slice(Math.max(0, at - CONTEXT), at + CONTEXT),
    }));
  });
}

function placesOf(text: string, part: string): number[] {
  if (part === '') throw new Error('Nothing is no secret.');
  const places: number[] = [];
  for (let at = text.indexOf(part); at >= 0; at = text.indexOf(part, at + part.length)) {
    places.push(at);
  }
  return places;
}

/** The ways a text looks in base64 at each of the three places where it can begin there. */
function base64Of(text: string): string[] {
  const spellings = [0, 1, 2].flatMap((before) => {
    const bytes = Buffer.concat([Buffer.alloc(before), Buffer.from(text)]);
    const from = Math.ceil((before * 8) / 6);
    const whole = Math.floor((bytes.length * 8) / 6);
    return (['base64', 'base64url'] as const).map((encoding) =>
      bytes.toString(encoding).slice(from, whole),
    );
  });
  return [...new Set(spellings)];
}

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
  const spellings = [
    new RegExp(secret.replace(/[^\w]/g, '\\$&'), 'gi'),
    new RegExp(Buffer.from(secret).toString('hex'), 'gi'),
    ...base64Of(secret).map((spelling) => new RegExp(spelling.replace(/[+]/g, '\\+'), 'g')),
  ];
  return spellings.flatMap((spelling) =>
    [...text.matchAll(spelling)].map(({ index }) =>
      text.slice(Math.max(0, index - CONTEXT), index + CONTEXT),
    ),
  );
}

/** A text as it looks in base64 at each of the three places where it can begin there. */
function base64Of(text: string): string[] {
  return [0, 1, 2].flatMap((before) => {
    const bytes = Buffer.concat([Buffer.alloc(before), Buffer.from(text)]);
    const from = Math.ceil((before * 8) / 6);
    const whole = Math.floor((bytes.length * 8) / 6);
    return (['base64', 'base64url'] as const).map((encoding) =>
      bytes.toString(encoding).slice(from, whole),
    );
  });
}

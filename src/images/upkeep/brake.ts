/** So many are never too many. */
const ALWAYS_FINE = 10;
/** How many suspects are held in memory before something is decided about them. */
const HELD_AT_MOST = 10_000;

/** What was looked at together, and what of it looks lost. */
export interface Look<T> {
  looked: number;
  suspects: T[];
}

/**
 * Hands on what looks lost, and whether it may be treated so: not when that would be more than ten
 * and more than half of all that was looked at. Then it is likelier that a disk is not
 * mounted, or that files and database do not belong together, than that so much is lost.
 *
 * It is decided at the end, or when so many have come together that memory asks for it.
 *
 * @param isGrave whether a suspect counts: what harms nobody always goes on
 */
export async function* withBrake<T>(
  looks: AsyncIterable<Look<T>>,
  isGrave: (suspect: T) => boolean = () => true,
): AsyncGenerator<{ suspect: T; isAllowed: boolean }> {
  let looked = 0;
  let grave = 0;
  let held: T[] = [];

  function* release() {
    const isTooMuch = grave > ALWAYS_FINE && grave > looked / 2;
    for (const suspect of held) yield { suspect, isAllowed: !isTooMuch || !isGrave(suspect) };
    held = [];
  }

  for await (const look of looks) {
    looked += look.looked;
    grave += look.suspects.filter(isGrave).length;
    held.push(...look.suspects);
    if (held.length >= HELD_AT_MOST) yield* release();
  }
  yield* release();
}

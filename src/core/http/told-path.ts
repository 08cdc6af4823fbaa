/** What stands between two slashes, and is longer than that is in any address of ours. */
const LONG = /[^/]{25,}/g;
/** But for an id, before which the folder of a picture has its time. */
const ID = /^(\d+-)?[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/**
 * The path of a request as logs and traces may have it. Query strings carry signatures, search texts
 * and tokens; and a part as long as a token may be one that a client has put in the wrong place.
 *
 * @param target of the request, as it was sent
 */
export function toldPath(target: string): string {
  // The host may stand before it, with whom it is asked as: RFC 9112 section 3.2.2.
  const path = target.replace(/[?#].*$/s, '').replace(/^[^/]+:\/\/[^/]*/, '');
  return path.replace(LONG, (part) => (ID.test(part) ? part : '…'));
}

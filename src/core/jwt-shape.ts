/** Three parts in base64url, of which the last is empty when nothing is signed: RFC 7515 section 7.1. */
const JWT = /^[\w-]+\.[\w-]+\.[\w-]*$/;

/** Whether a text could be a JWT by its looks, whatever is in it. */
export function isShapedLikeJwt(text: string): boolean {
  return JWT.test(text);
}

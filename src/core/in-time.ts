/**
 * Waits for work, for a while. Work that is late goes on, and its end is nobody's concern.
 *
 * @param ms how long, in milliseconds
 * @throws Error when it takes longer; what the work fails with
 */
export async function inTime<T>(work: Promise<T>, ms: number): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    late.reject(new Error(`No answer within ${ms} ms`));
  }, ms);
  try {
    return await Promise.race([work, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

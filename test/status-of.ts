/** The status of an address. Reads the answer to its end: a half-read one keeps its connection. */
export async function statusOf(url: string | URL): Promise<number> {
  const answer = await fetch(url);
  await answer.arrayBuffer();
  return answer.status;
}

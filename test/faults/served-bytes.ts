import { type Account, type TestingApp } from '../testing-app.js';

const SIZES = ['original', 'large', 'medium', 'thumbnail'];
const FORMATS = ['image/webp', 'image/avif'];

/** Every file of a completed image that its owner can be served, in both formats where it has both. */
export async function servedBytes(app: TestingApp, as: Account, id: string): Promise<Buffer[]> {
  const requests = SIZES.flatMap((size) =>
    FORMATS.map(async (accept) => {
      const url = `${app.url}/api/v1/images/${id}/file?size=${size}`;
      const answer = await fetch(url, {
        headers: { authorization: `Bearer ${as.token}`, accept },
      });
      if (answer.status !== 200) throw new Error(`${url} answered ${answer.status}`);
      return Buffer.from(await answer.arrayBuffer());
    }),
  );
  return Promise.all(requests);
}

import { type Account, type TestingApp } from '../testing-app.js';

const SIZES = ['original', 'large', 'medium', 'thumbnail'] as const;
/** What is asked for: an original comes as it is. */
const FORMATS = ['image/webp', 'image/avif'];

export interface ServedFile {
  size: (typeof SIZES)[number];
  bytes: Buffer;
}

/** Every file of a completed image that its owner can be served, in both formats where it has both. */
export async function servedFiles(app: TestingApp, as: Account, id: string): Promise<ServedFile[]> {
  const requests = SIZES.flatMap((size) =>
    FORMATS.map(async (accept) => {
      const url = `${app.url}/api/v1/images/${id}/file?size=${size}`;
      const answer = await fetch(url, {
        headers: { authorization: `Bearer ${as.token}`, accept },
      });
      if (answer.status !== 200) throw new Error(`${url} answered ${answer.status}`);
      return { size, bytes: Buffer.from(await answer.arrayBuffer()) };
    }),
  );
  return Promise.all(requests);
}

import { openAsBlob } from 'node:fs';
import { client } from './client/client.gen.js';
import {
  authLogin,
  authRegister,
  imagesChange,
  imagesDelete,
  imagesFile,
  imagesList,
  imagesMetadata,
  imagesShow,
  imagesUpload,
} from './client/sdk.gen.js';
import type { Image, ImagesListData, ImageStatus, Problem, SignIn } from './client/types.gen.js';

/**
 * What someone writes against the generated client: `program.js URL PICTURE…`. It prints what it
 * saw as JSON, and ends with an error at whatever is not as the types say.
 */

const FINAL: readonly ImageStatus[] = ['COMPLETED', 'FAILED'];
const PASSWORD = 'correct horse battery';

async function run(baseUrl: string, pictures: readonly string[]): Promise<object> {
  client.setConfig({ baseUrl });
  const { accessToken, user } = await signIn(`client-${Date.now()}@example.com`);
  client.setConfig({ auth: () => accessToken });
  const images: Image[] = [];
  for (const [index, picture] of pictures.entries()) {
    images.push(await upload(picture, `Picture ${index}`));
  }
  const [first] = images;
  if (!first) throw new Error('No picture was given.');
  const changed = await imagesChange({
    path: { id: first.id },
    body: { title: 'Renamed', visibility: 'public' },
    throwOnError: true,
  });
  const metadata = await imagesMetadata({ path: { id: first.id }, throwOnError: true });
  const listed = await listAll(1);
  return {
    email: user.email,
    statuses: images.map(({ status }) => status),
    listed: listed.map(({ title }) => title),
    title: changed.data.title,
    format: metadata.data.format,
    thumbnail: first.variants.thumbnail?.width,
    fileType: await fetchFile(first),
    problems: [await askForAStranger(), await askForTooMuch(), await registerAgain(user.email)],
    deleted: await deleteImage(first),
  };
}

async function signIn(email: string): Promise<SignIn> {
  const body = { email, password: PASSWORD, name: 'Client', kind: 'personal' } as const;
  await authRegister({ body, throwOnError: true });
  const { data } = await authLogin({ body: { email, password: PASSWORD }, throwOnError: true });
  return data;
}

/** Waits by asking again, as a client does that knows nothing of `Prefer: wait`. */
async function upload(path: string, title: string): Promise<Image> {
  const image = await openAsBlob(path);
  const { data } = await imagesUpload({
    body: { image, title, description: null },
    query: { force: true },
    throwOnError: true,
  });
  let latest: Image = data;
  while (!FINAL.includes(latest.status)) {
    await new Promise((resolve) => setTimeout(resolve, 100));
    latest = (await imagesShow({ path: { id: data.id }, throwOnError: true })).data;
  }
  return latest;
}

async function listAll(limit: number): Promise<Image[]> {
  const images: Image[] = [];
  const query: ImagesListData['query'] = { limit, sort: 'title', total: true };
  for (;;) {
    const { data } = await imagesList({ query, throwOnError: true });
    images.push(...data.items);
    if (data.total === undefined) throw new Error('The total was asked for.');
    if (data.nextCursor === null) return images;
    query.cursor = data.nextCursor;
  }
}

async function fetchFile({ id }: Image): Promise<string> {
  const query = { size: 'thumbnail' } as const;
  const { data, response } = await imagesFile({ path: { id }, query, throwOnError: true });
  // 202 answers the image, because it has no file yet.
  if (!(data instanceof Blob)) throw new Error(`Not made yet: ${data.status}`);
  const length = Number(response.headers.get('content-length'));
  if (data.size !== length) throw new Error(`${data.size} of ${length} bytes came.`);
  return data.type;
}

async function deleteImage({ id }: Image): Promise<boolean> {
  await imagesDelete({ path: { id }, throwOnError: true });
  const { error } = await imagesShow({ path: { id } });
  return error?.code === 'not-found';
}

/** Without `throwOnError` a refusal is a value, and its type is known. */
async function askForAStranger(): Promise<string> {
  const { data, error } = await imagesShow({
    path: { id: '01890000-0000-7000-8000-000000000000' },
  });
  return data ? 'found' : describe(error);
}

async function askForTooMuch(): Promise<string> {
  const { data, error } = await imagesList({ query: { limit: 1_000 } });
  return data ? 'listed' : describe(error);
}

async function registerAgain(email: string): Promise<string> {
  const { data, error } = await authRegister({
    body: { email, password: PASSWORD, name: 'Again' },
  });
  return data ? 'registered' : describe(error);
}

function describe({ status, code, errors = [] }: Problem): string {
  return [status, code, ...errors.map(({ path }) => path)].join(' ');
}

const [url = '', ...pictures] = process.argv.slice(2);
console.log(JSON.stringify(await run(url, pictures)));

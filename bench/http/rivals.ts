import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { ApiClient, type ImageAnswer, parse } from '../api-client.ts';
import type { CleanUp } from '../clean-up.ts';
import { HelperProcess } from '../helper-process.ts';
import { makeNoise, makePhotos } from '../images/pictures.ts';
import { Product } from '../product.ts';
import type { BareSetting } from './bare-api.child.ts';
import { Load } from './load.ts';
import { recordStatements, type Statement } from './statement-log.ts';

/** The product and the bare server, on the same PostgreSQL and the same files, and their clients. */
export interface Rivals {
  product: Product;
  client: ApiClient;
  /** What the account has uploaded, COMPLETED. */
  image: ImageAnswer;
  bare: { url: string; pid: number };
  load: Load;
}

const BARE = new URL('./bare-api.child.ts', import.meta.url);
/** Of both sides. */
const POOL_SIZE = 10;
/** Headers that each side writes by itself. */
const OWN_HEADERS = /^(connection|keep-alive|date|content-length|x-request-id|transfer-encoding)$/;

/** Starts both; the worker is stopped as soon as there is an image. */
export async function startRivals(cleanUp: CleanUp): Promise<Rivals> {
  const product = await Product.start(cleanUp, { DATABASE_POOL_SIZE: String(POOL_SIZE) });
  const client = await ApiClient.register(product.url);
  cleanUp.add(() => {
    client.close();
  });
  const { baseline } = await makePhotos(1);
  const image = await client.uploadAndWait(baseline);
  await product.worker.stop();
  const bare = new HelperProcess(BARE, { variables: { NODE_ENV: 'production' } });
  cleanUp.add(() => {
    bare.kill();
  });
  bare.send({
    ...(await recordTraffic(product, client, image)),
    ...(await fileSetting(product, client, image)),
  } satisfies BareSetting);
  const { port } = (await bare.nextMessage()) as { port: number };
  return {
    ...{ product, client, image },
    bare: { url: `http://127.0.0.1:${port}`, pid: bare.pid },
    load: new Load(cleanUp),
  };
}

/** What the product says to PostgreSQL, for the other side to say the same. */
async function recordTraffic(product: Product, client: ApiClient, image: ImageAnswer) {
  const picture = await makeNoise(10_000);
  let insertedId = '';
  const { list, file, upload } = await recordStatements(product, {
    list: () => client.get('/api/v1/images?limit=20'),
    file: () => client.get(`/api/v1/images/${image.id}/file?size=medium`),
    upload: async () => {
      insertedId = (parse(await client.upload([picture]), 202) as ImageAnswer).id;
    },
  });
  await client.delete(`/api/v1/images/${insertedId}`);
  return {
    insertedId,
    statements: {
      account: statementIn(list, /from "sessions"/),
      list: statementIn(list, /from "images"/),
      file: statementIn(file, /from "images"/),
      insert: statementIn(upload, /^insert into "images"/),
    },
  };
}

async function fileSetting({ setting }: Product, client: ApiClient, image: ImageAnswer) {
  const { dataDir, variables } = setting;
  const url = new URL(image.variants['medium']?.url ?? '');
  const { headers } = await client.get(url.href);
  const uploadFolder = join(dataDir, 'bare-uploads');
  mkdirSync(uploadFolder);
  return {
    databaseUrl: variables['DATABASE_URL'] ?? '',
    poolSize: POOL_SIZE,
    jwtSecret: variables['JWT_SECRET'] ?? '',
    publicUrl: variables['PUBLIC_URL'] ?? '',
    filesFolder: join(dataDir, 'files'),
    fileKey: url.pathname.replace('/api/v1/files/', ''),
    fileHeaders: Object.fromEntries(
      Object.entries(headers).filter(([name]) => !OWN_HEADERS.test(name)),
    ),
    uploadFolder,
  };
}

function statementIn(statements: readonly Statement[], pattern: RegExp): Statement {
  const found = statements.find(({ text }) => pattern.test(text));
  if (found) return found;
  throw new Error(`The product sent no statement like ${String(pattern)}.`);
}

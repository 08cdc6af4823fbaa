import { createHmac, createSecretKey, randomUUID, timingSafeEqual } from 'node:crypto';
import { constants, createWriteStream } from 'node:fs';
import { open, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import multipart from '@fastify/multipart';
import Fastify, { type FastifyReply, type FastifyRequest } from 'fastify';
import jwt from 'jsonwebtoken';
import pg from 'pg';
import type { Statement } from './statement-log.ts';

/**
 * What the product is measured against: the least that answers the same requests with Fastify and
 * `pg`, by the same statements, for the same tokens. It validates, logs and explains nothing, knows
 * one file, and its links are signed with nothing.
 */

export interface BareSetting {
  databaseUrl: string;
  poolSize: number;
  jwtSecret: string;
  publicUrl: string;
  /** What the product sends to look up who asks, a page of the list and a file, and to insert. */
  statements: Readonly<Record<'account' | 'list' | 'file' | 'insert', Statement>>;
  /** The id in the insert. */
  insertedId: string;
  /** Where the files are, and the headers with which the product sends the one that is fetched. */
  filesFolder: string;
  fileKey: string;
  fileHeaders: Record<string, string>;
  uploadFolder: string;
}

interface FileRow {
  name: string;
  format: string;
  storageKey: string;
  width: number;
  height: number;
  bytes: number;
}

type ImageRow = Record<string, unknown> & {
  id: string;
  sortValue: string;
  metadata: { width: number; height: number; size: number; progressive: boolean };
  files: FileRow[];
};

const SIZES = ['large', 'medium', 'thumbnail'];
/** As long as those of the product. */
const UNSIGNED = `expires=1000000000&signature=${'x'.repeat(43)}`;
const UPLOAD_LIMIT = 20 * 1024 * 1024;

process.once('message', (setting: BareSetting) => {
  void serve(setting).then((port) => process.send?.({ port }));
});
process.on('disconnect', () => process.exit());

async function serve(setting: BareSetting): Promise<number> {
  const { statements, filesFolder, fileKey, uploadFolder } = setting;
  const pool = new pg.Pool({ connectionString: setting.databaseUrl, max: setting.poolSize });
  const key = createSecretKey(setting.jwtSecret, 'utf8');
  const server = Fastify();
  await server.register(multipart, { limits: { fileSize: UPLOAD_LIMIT } });

  /** Statements under a name are parsed and planned once for each connection. */
  const query = async (name: keyof typeof statements): Promise<unknown[]> =>
    (await pool.query<object>({ ...statements[name], name })).rows;

  const signedIn = async (request: FastifyRequest): Promise<void> => {
    const token = request.headers.authorization?.slice('Bearer '.length) ?? '';
    jwt.verify(token, key, {
      algorithms: ['HS256'],
      issuer: 'atelier',
      audience: 'atelier-api',
    });
    if ((await query('account')).length === 0) throw new Error('Nobody has this token.');
  };

  const sendFile = async (reply: FastifyReply): Promise<FastifyReply> => {
    const file = await open(join(filesFolder, fileKey), constants.O_RDONLY);
    const { size } = await file.stat();
    void reply.headers(setting.fileHeaders).header('content-length', size);
    return reply.send(
      file.createReadStream({ start: 0, end: size - 1, highWaterMark: 128 * 1024 }),
    );
  };

  server.get('/images', async (request) => {
    await signedIn(request);
    return presentPage((await query('list')) as ImageRow[], setting.publicUrl);
  });

  server.get('/images/:id/file', async (request, reply) => {
    await signedIn(request);
    if ((await query('file')).length === 0) throw new Error('There is no such image.');
    return sendFile(reply);
  });

  server.get('/files/*', async (request, reply) => {
    const { signature = '' } = request.query as { signature?: string };
    const expected = createHmac('sha256', key).update(request.url).digest('base64url');
    // A signature that never fits, compared all the same.
    timingSafeEqual(Buffer.from(expected), Buffer.from(signature.padEnd(expected.length)));
    return sendFile(reply);
  });

  server.post('/images/upload', async (request, reply) => {
    await signedIn(request);
    const part = await request.file();
    if (!part) throw new Error('There is no file.');
    const id = randomUUID();
    const path = join(uploadFolder, id);
    await pipeline(part.file, createWriteStream(`${path}.part`, { flush: true }));
    await rename(`${path}.part`, path);
    const insert = JSON.stringify(statements.insert).replaceAll(setting.insertedId, id);
    await pool.query(JSON.parse(insert) as Statement);
    return reply.code(202).send({ id, status: 'PENDING' });
  });

  await server.listen({ port: 0, host: '127.0.0.1' });
  return (server.server.address() as { port: number }).port;
}

function presentPage(rows: ImageRow[], origin: string) {
  const items = rows.slice(0, -1);
  const last = items.at(-1);
  const position = JSON.stringify(['-createdAt', last?.sortValue, last?.id]);
  return {
    items: items.map((row) => present(row, origin)),
    nextCursor: Buffer.from(position).toString('base64url'),
  };
}

function present(
  { files, metadata: { progressive: _, ...metadata }, ...row }: ImageRow,
  origin: string,
) {
  const variants: Record<string, Omit<FileRow, 'name' | 'storageKey'> & { url: string }> = {};
  for (const { name, format, storageKey, width, height, bytes } of files) {
    if (!SIZES.includes(name)) continue;
    const url = `${origin}/api/v1/files/${storageKey}?${UNSIGNED}`;
    variants[name] = { url, width, height, bytes, format };
  }
  return {
    id: row.id,
    userId: row['userId'],
    type: row['type'],
    status: row['status'],
    title: row['title'],
    description: row['description'],
    prompt: row['prompt'],
    visibility: row['visibility'],
    storageUrl: variants['large']?.url,
    displayUrl: variants['medium']?.url,
    thumbnailUrl: variants['thumbnail']?.url,
    metadata,
    dimensions: { width: metadata.width, height: metadata.height },
    sizeMb: Math.round((metadata.size / (1024 * 1024)) * 100) / 100,
    ready: true,
    coinsUsed: row['coinsUsed'],
    provenance: row['provenance'],
    variants,
    placeholder: row['placeholder'],
    dominantColor: row['dominantColor'],
    error: null,
    createdAt: row['createdAt'],
    updatedAt: row['updatedAt'],
  };
}

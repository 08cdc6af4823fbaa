import pg from 'pg';

/**
 * Copies an image that the product made, with its files' rows, for its owner and for others. The
 * columns are whatever the tables have; ids in names are those of the copies, and equally long.
 *
 * @param each how many images each account has in the end
 */
export async function multiplyImage(
  databaseUrl: string,
  imageId: string,
  { others, each }: { others: number; each: number },
): Promise<void> {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    await client.query(COPY_USERS, [imageId, others]);
    await client.query(COPY_IMAGES, [imageId, each - 1, each]);
    await client.query(COPY_FILES, [imageId]);
    await client.query('analyze users, images, image_variants');
  } finally {
    await client.end();
  }
}

const COPY_USERS = `
  insert into users
  select (jsonb_populate_record(users, jsonb_build_object(
    'id', uuidv7(), 'email', 'copy-' || number || '@example.com'))).*
  from users, generate_series(1, $2::int) as number
  where users.id = (select user_id from images where id = $1)`;

const COPY_IMAGES = `
  insert into images
  select (jsonb_populate_record(images, jsonb_build_object(
    'id', copy.id,
    'user_id', copy.user_id,
    'title', 'Picture ' || copy.number,
    'storage_key', replace(storage_key, images.id::text, copy.id::text),
    'created_at', images.created_at - copy.number * interval '1 minute'))).*
  from images, lateral (
    select uuidv7() as id, users.id as user_id, number
    from users, generate_series(
      1, case when users.id = images.user_id then $2::int else $3::int end) as number
    where users.id = images.user_id or users.email like 'copy-%'
  ) as copy
  where images.id = $1`;

const COPY_FILES = `
  insert into image_variants
  select (jsonb_populate_record(files, jsonb_build_object(
    'image_id', images.id,
    'storage_key', replace(files.storage_key, files.image_id::text, images.id::text)))).*
  from image_variants as files, images
  where files.image_id = $1 and images.id <> $1`;

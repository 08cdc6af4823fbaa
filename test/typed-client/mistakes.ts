import {
  authRegister,
  imagesChange,
  imagesList,
  imagesShow,
  imagesUpload,
} from './client/sdk.gen.js';
import type { Image, Problem } from './client/types.gen.js';

/**
 * What the compiler must refuse. TypeScript complains of each `@ts-expect-error` that expects in
 * vain, so a document that became vaguer fails here. Nobody runs this.
 */
export async function makeMistakes(image: Image, problem: Problem): Promise<void> {
  const path = { id: image.id };
  const body = { email: 'a@example.com', password: 'x', name: 'A' };

  // @ts-expect-error: an unknown field
  await authRegister({ body: { ...body, surname: 'B' } });
  // @ts-expect-error: a missing field
  await authRegister({ body: { email: 'a@example.com', password: 'x' } });
  // @ts-expect-error: a value that is none of those that there are
  await authRegister({ body: { ...body, kind: 'company' } });
  // @ts-expect-error: no body at all
  await authRegister({});
  // @ts-expect-error: no id
  await imagesShow({});
  // @ts-expect-error: a number as text
  await imagesList({ query: { limit: '20' } });
  // @ts-expect-error: a flag as text
  await imagesList({ query: { total: 'true' } });
  // @ts-expect-error: an order that there is not
  await imagesList({ query: { sort: 'colour' } });
  // @ts-expect-error: a parameter that there is not
  await imagesList({ query: { page: 2 } });
  // @ts-expect-error: text instead of a file
  await imagesUpload({ body: { image: 'picture.jpg' } });
  // @ts-expect-error: a form without its file
  await imagesUpload({ body: { title: 'A' } });
  // @ts-expect-error: not one of the visibilities
  await imagesChange({ path, body: { visibility: 'secret' } });
  // @ts-expect-error: not something that one changes
  await imagesChange({ path, body: { status: 'COMPLETED' } });

  // @ts-expect-error: a status that there is not
  void (image.status === 'DONE');
  // @ts-expect-error: may be null
  void image.title.length;
  // @ts-expect-error: may be absent
  void image.variants.large.url;
  // @ts-expect-error: not in an image
  void image.checksum;
  // @ts-expect-error: may be absent
  void problem.errors.length;

  // @ts-expect-error: nothing came when it was refused
  void (await imagesShow({ path })).data.id;
  // @ts-expect-error: not a field of problems
  void (await imagesShow({ path })).error?.message;
}

import { defineProblem } from '../core/problem.js';

export const emptyFile = defineProblem({
  code: 'empty-file',
  status: 422,
  title: 'The file is empty',
  help: 'The file of the upload has no bytes.',
});

export const unsupportedType = defineProblem({
  code: 'unsupported-type',
  status: 415,
  title: 'The file is not a picture that we take',
  help: 'Uploads are JPEG, PNG or WebP. The type is told by the bytes of the file, not by its name.',
});

export const fileTooLarge = defineProblem({
  code: 'file-too-large',
  status: 413,
  title: 'The file is too large',
  help: 'The file is larger than an upload may be: 20 MB, unless the operator chose another limit.',
});

export const quotaExceeded = defineProblem({
  code: 'quota-exceeded',
  status: 507,
  title: 'Your storage is full',
  help: 'The files of your account would take more than your quota. Delete some, then try again.',
});

export const imageFailed = defineProblem({
  code: 'image-failed',
  status: 409,
  title: 'The picture could not be made',
  help: 'There are no files of this image, because its conversion failed. Its `error` says why.',
});

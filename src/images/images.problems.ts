import { idempotencyInProgress, idempotencyMismatch } from '../core/http/idempotency.js';
import {
  defineProblem,
  type ProblemDefinition,
  unsupportedMediaType,
  validationFailed,
} from '../core/problems/problem.js';
import type { ContainerRefusalCode } from './containers/container.js';

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
  help: 'Uploads are JPEG, PNG, WebP, GIF, AVIF or HEIC. The type is told by the bytes of the file, not by its name.',
});

export const fileTooLarge = defineProblem({
  code: 'file-too-large',
  status: 413,
  title: 'The file is too large',
  help: 'The file is larger than an upload may be: 20 MB, unless the operator chose another limit.',
});

const tooManyPixels = defineProblem({
  code: 'too-many-pixels',
  status: 422,
  title: 'The picture has too many pixels',
  help: 'Width times height times frames is more than a picture may have: 50 million, unless the operator chose another limit.',
});

const tooManyFrames = defineProblem({
  code: 'too-many-frames',
  status: 422,
  title: 'The animation has too many frames',
  help: 'The file has more frames than an animation may have: 60, unless the operator chose another limit.',
});

export const truncated = defineProblem({
  code: 'truncated',
  status: 422,
  title: 'The file is cut off',
  help: 'The file ends before its picture does. It was probably not copied to its end.',
});

const corruptFile = defineProblem({
  code: 'corrupt-file',
  status: 422,
  title: 'The file is damaged',
  help: 'The structure of the file contradicts itself, so no picture can be read from it.',
});

export const quotaExceeded = defineProblem({
  code: 'quota-exceeded',
  status: 507,
  title: 'Your storage is full',
  help: 'The files of your account would take more than your quota. Delete some, then try again.',
  isMeant: true,
});

export const tooManyUploads = defineProblem({
  code: 'too-many-uploads',
  status: 429,
  title: 'You have too many uploads under way',
  help: 'Your account sends more files at once than the server takes. Send a few at a time; try this one again after `Retry-After` seconds.',
});

export const imageFailed = defineProblem({
  code: 'image-failed',
  status: 409,
  title: 'The picture could not be made',
  help: 'There are no files of this image, because making it failed. Its `error` says why.',
});

/** The problem of a file that is refused for what its structure shows. */
export const containerProblems: Record<ContainerRefusalCode, ProblemDefinition> = {
  'empty-file': emptyFile,
  'unsupported-type': unsupportedType,
  'too-many-pixels': tooManyPixels,
  'too-many-frames': tooManyFrames,
  truncated,
  'corrupt-file': corruptFile,
};

/** How a request fails that brings a new file, whole or in parts. */
export const UPLOAD_PROBLEMS = [
  ...Object.values(containerProblems),
  fileTooLarge,
  idempotencyInProgress,
  idempotencyMismatch,
  quotaExceeded,
  tooManyUploads,
  unsupportedMediaType,
  validationFailed,
];

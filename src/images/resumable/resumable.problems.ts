import { defineProblem } from '../../core/problems/problem.js';

export const tusVersion = defineProblem({
  code: 'tus-version',
  status: 412,
  title: 'The version of the tus protocol is not spoken here',
  help: 'Resumable uploads follow the tus resumable upload protocol 1.0.0: send `Tus-Resumable: 1.0.0`.',
});

export const uploadOffsetMismatch = defineProblem({
  code: 'upload-offset-mismatch',
  status: 409,
  title: 'The upload goes on from another offset',
  help: '`Upload-Offset` is not the number of bytes that have arrived. Ask for it with HEAD, then go on from there.',
});

export const uploadLocked = defineProblem({
  code: 'upload-locked',
  status: 423,
  title: 'Another request is at work on this upload',
  help: 'Only one request at a time can continue an upload. Try again after `Retry-After` seconds: one whose connection broke lets go within that time.',
});

export const tooManyOpenUploads = defineProblem({
  code: 'too-many-open-uploads',
  status: 429,
  title: 'You have too many unfinished uploads',
  help: 'Finish some of your resumable uploads, delete them, or let them expire.',
});

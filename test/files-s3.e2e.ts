import { describe } from '@jest/globals';
import { filesSuite } from './files-suite.js';
import { S3Server } from './s3/s3-server.js';

describe('in a bucket', () => {
  filesSuite(async () => {
    const store = await S3Server.start();
    return {
      variables: store.variables,
      openFiles: async () => store.openRequests,
      setTime: async (_app, key, time) => {
        store.bucket.get(key).lastModified = time;
      },
      close: () => store.close(),
    };
  });
});

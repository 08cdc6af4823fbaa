import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Bucket } from './bucket.js';
import type { Trouble } from './faults.js';

/** One request, after its signature and its body were found to be right. */
export interface Call {
  request: IncomingMessage;
  response: ServerResponse;
  bucket: Bucket;
  key: string;
  query: URLSearchParams;
  body: Buffer;
  /** The most that one page of a list holds. */
  pageSize: number;
  trouble: Trouble | undefined;
}

import { AsyncLocalStorage } from 'node:async_hooks';

/** What is known about the request or job that the running code belongs to. */
export interface RequestContext {
  /** The id under which everything that this request causes is logged. */
  readonly requestId: string;
}

const storage = new AsyncLocalStorage<RequestContext>();

/** Runs `work` as part of a request; everything that it awaits sees the same context. */
export function runInContext<T>(context: RequestContext, work: () => T): T {
  return storage.run(context, work);
}

/** The id of the request that the running code belongs to, if any. */
export function currentRequestId(): string | undefined {
  return storage.getStore()?.requestId;
}

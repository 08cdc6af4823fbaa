import { AsyncLocalStorage } from 'node:async_hooks';
import { clientAddress, type Sender } from './http/client-address.js';
import type { Span } from './tracing/span.js';

/** What is known about the request or job that the running code belongs to. */
export interface RequestContext {
  /** The id under which everything that this request causes is logged. */
  readonly requestId?: string | undefined;
  /** What the running code is a part of, when the process traces. */
  readonly span?: Span | undefined;
  /** The connection of the client that waits for the answer. */
  readonly connection?: { readonly destroyed: boolean };
  /** Who sent the request. */
  readonly sender?: Sender & { readonly headers: { readonly 'user-agent'?: string | undefined } };
}

/** What is known of a client without asking it to sign in. */
export interface Client {
  readonly address: string;
  readonly userAgent: string | undefined;
}

const storage = new AsyncLocalStorage<RequestContext>();

/** Runs `work` as part of a request; everything that it awaits sees the same context. */
export function runInContext<T>(context: RequestContext, work: () => T): T {
  return storage.run(context, work);
}

/** That of the innermost {@link runInContext}; undefined outside of all, as at the start of a process. */
export function currentContext(): RequestContext | undefined {
  return storage.getStore();
}

/** The id of the request that the running code belongs to, if any. */
export function currentRequestId(): string | undefined {
  return storage.getStore()?.requestId;
}

/** Whether the running code works on an answer that nobody is there to hear any more. */
export function isClientGone(): boolean {
  return storage.getStore()?.connection?.destroyed ?? false;
}

/** Who sent the request that the running code belongs to; undefined in jobs. */
export function currentClient(): Client | undefined {
  const sender = storage.getStore()?.sender;
  return sender && { address: clientAddress(sender), userAgent: sender.headers['user-agent'] };
}

/** By which a row remembers the trace that the running code belongs to, if any. */
export function currentTraceParent(): string | undefined {
  return storage.getStore()?.span?.traceParent;
}

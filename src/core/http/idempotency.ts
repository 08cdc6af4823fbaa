import { createHash } from 'node:crypto';
import { createParamDecorator, type ExecutionContext, Injectable } from '@nestjs/common';
import { EntityManager } from '@mikro-orm/postgresql';
import type { FastifyRequest } from 'fastify';
import { z } from 'zod';
import { newId } from '../ids.js';
import { defineProblem, Problem } from '../problems/problem.js';
import { parseOrRefuse } from './validation.js';

/** How long an answer is kept for its key, in hours. */
const KEPT_HOURS = 24;
/** How long a request may hold its key before another may take it over, in seconds. */
const LEASE_SECONDS = 60;
/** Most requests end long before their lease does. */
const RETRY_AFTER_SECONDS = '2';

export const idempotencyMismatch = defineProblem({
  code: 'idempotency-mismatch',
  status: 422,
  title: 'The Idempotency-Key belongs to another request',
  help: 'The same key was sent before with other content. Use a new key for a new request.',
});

export const idempotencyInProgress = defineProblem({
  code: 'idempotency-in-progress',
  status: 409,
  title: 'A request with this Idempotency-Key is still running',
  help: 'Send the same request again after `Retry-After` seconds to get its answer.',
});

const keySchema = z
  .string()
  .regex(/^[\x21-\x7e]{1,255}$/, 'must be 1 to 255 visible ASCII characters')
  .optional();

/** The `Idempotency-Key` header of a request, if it has one. */
export const IdempotencyKeyHeader = createParamDecorator(
  (_: unknown, context: ExecutionContext): string | undefined =>
    parseOrRefuse(
      keySchema,
      context.switchToHttp().getRequest<FastifyRequest>().headers['idempotency-key'],
      'headers.idempotency-key',
    ),
);

/** An answer as it is stored and given again. */
export interface StoredAnswer {
  readonly status: number;
  readonly body: unknown;
}

/** What makes two requests the same request. */
export interface IdempotentRequest {
  readonly ownerId: string;
  /** The operation, such as `images.upload`. */
  readonly route: string;
  /** Undefined when the client sent none: then nothing is stored and nothing replayed. */
  readonly key: string | undefined;
  /** Everything asked that matters; of a file, its SHA-256. */
  readonly content: Readonly<Record<string, unknown>>;
}

/**
 * Makes a repeated POST harmless: the first answer is stored with the effect, in one transaction,
 * and given again to the same request.
 */
@Injectable()
export class Idempotency {
  constructor(private readonly em: EntityManager) {}

  /**
   * Claims the key of a request before its effect.
   *
   * @returns the stored answer when the request was answered before, else a run to complete
   * @throws Problem `idempotency-mismatch`, `idempotency-in-progress`
   */
  async begin(request: IdempotentRequest): Promise<StoredAnswer | IdempotentRun> {
    if (request.key === undefined) return new IdempotentRun(this.em, undefined);
    const leaseId = newId();
    if (await this.claim(request, leaseId)) return new IdempotentRun(this.em, leaseId);

    const stored = await this.find(request);
    // The row can go between the two statements only when the first run was abandoned.
    if (!stored) return this.begin(request);
    if (stored.fingerprint !== fingerprint(request)) throw new Problem(idempotencyMismatch);
    if (stored.status === null) {
      throw new Problem(idempotencyInProgress, undefined, {
        headers: { 'retry-after': RETRY_AFTER_SECONDS },
      });
    }
    return { status: stored.status, body: stored.body };
  }

  /** Removes keys whose time is over. @returns how many */
  async forgetExpired(): Promise<number> {
    const { affectedRows } = await this.em.execute<{ affectedRows: number }>(
      `delete from idempotency_keys where created_at < now() - make_interval(hours => ?)`,
      [KEPT_HOURS],
      'run',
    );
    return affectedRows;
  }

  /** One statement, so that of many equal requests exactly one gets the key. */
  private async claim(request: IdempotentRequest, leaseId: string): Promise<boolean> {
    const claimed = await this.em.execute(
      `insert into idempotency_keys as held
         (owner_id, route, key, fingerprint, lease_id, leased_until, created_at)
       values (?, ?, ?, ?, ?, now() + make_interval(secs => ?), now())
       on conflict (owner_id, route, key) do update
         set fingerprint = excluded.fingerprint, lease_id = excluded.lease_id,
             leased_until = excluded.leased_until, created_at = excluded.created_at,
             status = null, body = null
         where held.created_at < now() - make_interval(hours => ?)
            or (held.status is null and held.leased_until < now()
                and held.fingerprint = excluded.fingerprint)
       returning 1`,
      [
        request.ownerId,
        request.route,
        request.key,
        fingerprint(request),
        leaseId,
        LEASE_SECONDS,
        KEPT_HOURS,
      ],
    );
    return claimed.length > 0;
  }

  private async find({ ownerId, route, key }: IdempotentRequest) {
    const [row] = await this.em.execute<
      { fingerprint: string; status: number | null; body: unknown }[]
    >(
      `select fingerprint, status, body from idempotency_keys
       where owner_id = ? and route = ? and key = ?`,
      [ownerId, route, key],
    );
    return row;
  }
}

/** The one request that holds a key (or any request without one). */
export class IdempotentRun {
  constructor(
    private readonly em: EntityManager,
    private readonly leaseId: string | undefined,
  ) {}

  /**
   * Stores the answer with the effect: call it in the effect's transaction.
   *
   * @throws Problem `idempotency-in-progress` when the lease ran out and another request took the
   * key; the transaction must then roll back
   */
  async complete(em: EntityManager, answer: StoredAnswer): Promise<void> {
    if (this.leaseId === undefined) return;
    if (!(await store(em, this.leaseId, answer))) throw new Problem(idempotencyInProgress);
  }

  /** Replaces the stored answer by the one that the client really got after a wait. */
  async amend(answer: StoredAnswer): Promise<void> {
    if (this.leaseId !== undefined) await store(this.em, this.leaseId, answer);
  }

  /** Gives the key back although an answer is stored: its effect was undone. */
  async withdraw(): Promise<void> {
    if (this.leaseId === undefined) return;
    await this.em.execute('delete from idempotency_keys where lease_id = ?', [this.leaseId]);
  }

  /** Gives the key back after a failure, so that the client may try again at once. */
  async abandon(): Promise<void> {
    if (this.leaseId === undefined) return;
    await this.em.execute(`delete from idempotency_keys where lease_id = ? and status is null`, [
      this.leaseId,
    ]);
  }
}

async function store(em: EntityManager, leaseId: string, answer: StoredAnswer): Promise<boolean> {
  const stored = await em.execute(
    `update idempotency_keys set status = ?, body = ?::jsonb where lease_id = ? returning 1`,
    [answer.status, JSON.stringify(answer.body), leaseId],
  );
  return stored.length > 0;
}

function fingerprint({ content }: IdempotentRequest): string {
  const canonical = Object.entries(content)
    .filter(([, value]) => value !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1));
  return createHash('sha256').update(JSON.stringify(canonical)).digest('hex');
}

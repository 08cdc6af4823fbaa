import { Inject, Injectable } from '@nestjs/common';
import type { FastifyRequest } from 'fastify';
import { AuditLog } from '../../core/audit/audit-log.js';
import { ENV, type Env } from '../../core/env.js';
import { clientAddress } from '../../core/http/client-address.js';
import { isShapedLikeJwt } from '../../core/jwt-shape.js';
import { RateLimits } from '../../core/rate-limits/rate-limits.js';
import { networkOf } from '../../core/rate-limits/request-limits.js';
import { isSameSecret } from '../../core/same-secret.js';
import { bearerTokenOf } from '../tokens/bearer-token.js';

/**
 * What it opens, by the route that was found: however a path is spelled, it leads to one of these or
 * it does not.
 */
const ADMIN_ROUTES = '/api/v1/admin/';

/** Of one address. The right token is never counted, so that nobody's guesses keep its holder out. */
const WRONG_TRIES = { name: 'wrong-admin-tokens', perMinute: 10 };

/** Whatever is sent as a Bearer token, also what could be none. */
const SENT_AS_BEARER = /^bearer +(.+)$/i;

const HOUR_MS = 3_600_000;
/** More than holders of a secret have; of more, who came first is forgotten, and recorded again. */
const MAX_HOLDERS = 1_000;

/** When somebody was recorded as a holder of the token. */
interface Use {
  /** By `performance.now()`. */
  readonly until: number;
  readonly recorded: Promise<void>;
}

/** The `ADMIN_TOKEN`, which opens the routes of administrators to whoever holds it. */
@Injectable()
export class AdminToken {
  private readonly expected: string | undefined;
  /** By address. */
  private readonly uses = new Map<string, Use>();

  constructor(
    private readonly audit: AuditLog,
    private readonly limits: RateLimits,
    @Inject(ENV) { ADMIN_TOKEN }: Env,
  ) {
    this.expected = ADMIN_TOKEN;
  }

  /**
   * What a request brings. `wrong` is an `x-admin-token` that is not the token, or a Bearer token that
   * is neither it nor shaped like a JWT: those are users', and no guesses.
   *
   * @returns `absent` wherever there is nothing for the token to open
   */
  judge(request: FastifyRequest): 'right' | 'wrong' | 'absent' {
    const { expected } = this;
    if (expected === undefined || !isForAdministrators(request)) return 'absent';
    const { 'x-admin-token': own, authorization = '' } = request.headers;
    const given = [own, bearerTokenOf(request)].filter((each) => typeof each === 'string');
    if (given.some((each) => isSameSecret(each, expected))) return 'right';
    if (own !== undefined && own !== '') return 'wrong';
    const [, sent] = SENT_AS_BEARER.exec(authorization) ?? [];
    return sent === undefined || isShapedLikeJwt(sent) ? 'absent' : 'wrong';
  }

  /**
   * Has the audit remember that somebody holds the token: once an hour for each address, in each
   * process. What they change is remembered each time, where it is changed.
   */
  async recordUse(request: FastifyRequest): Promise<void> {
    const address = clientAddress(request);
    const known = this.uses.get(address);
    if (known && performance.now() < known.until) return known.recorded;
    const recorded = this.audit.record({
      actor: { kind: 'admin-token' },
      action: 'admin-token.used',
    });
    // Those that come meanwhile wait for it, too: nothing is done with the token before.
    this.remember(address, { until: performance.now() + HOUR_MS, recorded });
    await recorded.catch((error: unknown) => {
      this.uses.delete(address);
      throw error;
    });
  }

  /**
   * Counts a wrong token for its address. The audit remembers those that are within the limit.
   *
   * @throws Problem `too-many-requests`
   */
  async countWrong(request: FastifyRequest): Promise<void> {
    await this.limits.count(WRONG_TRIES, networkOf(request));
    await this.audit.record({ actor: { kind: 'anonymous' }, action: 'admin-token.refused' });
  }

  private remember(address: string, use: Use): void {
    this.uses.delete(address);
    this.uses.set(address, use);
    const [oldest] = this.uses.size > MAX_HOLDERS ? this.uses.keys() : [];
    if (oldest !== undefined) this.uses.delete(oldest);
  }
}

function isForAdministrators({ routeOptions }: FastifyRequest): boolean {
  return routeOptions.url?.startsWith(ADMIN_ROUTES) === true;
}

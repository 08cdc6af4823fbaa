import { Body, Controller, Get, HttpCode, Param, Post, Res } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import { CurrentActor } from '../../auth/access/current-actor.js';
import { Roles } from '../../auth/access/roles.guard.js';
import type { Actor } from '../../core/audit/audit-log.js';
import {
  idempotencyInProgress,
  IdempotencyKeyHeader,
  idempotencyMismatch,
} from '../../core/http/idempotency.js';
import { Operation } from '../../core/openapi/openapi.js';
import { ApiHeader } from '../../core/openapi/openapi-decorators.js';
import { notFound, unsupportedMediaType, validationFailed } from '../../core/problems/problem.js';
import { insufficientCoins, tooManyCoins } from '../coins.problems.js';
import { Adjustments } from './adjustments.service.js';
import {
  accountParams,
  adjustedSchema,
  type Adjustment,
  adjustmentSchema,
  ledgerProofSchema,
  type ProofAnswer,
} from './admin-coins.schema.js';
import { LedgerProof } from './ledger-proof.js';

/** Coins of others, and whether the ledger is sound. */
@Controller('api/v1/admin')
@Roles('ADMIN')
export class AdminCoinsController {
  constructor(
    private readonly adjustments: Adjustments,
    private readonly proof: LedgerProof,
  ) {}

  @Post('users/:id/coins')
  @HttpCode(201)
  @ApiHeader({ name: 'Idempotency-Key', required: false, description: 'Makes a repeat harmless.' })
  @Operation({
    summary: 'Give an account coins, or deduct some',
    description: 'No more is deducted than is available. The audit remembers who did it, and why.',
    answers: {
      201: {
        description: 'The coins have moved',
        schema: adjustedSchema,
        headers: {
          'idempotency-replayed': '`true` when this is the first answer to the same request again.',
        },
      },
    },
    problems: [
      idempotencyInProgress,
      idempotencyMismatch,
      insufficientCoins,
      notFound,
      tooManyCoins,
      unsupportedMediaType,
      validationFailed,
    ],
  })
  async adjust(
    @CurrentActor() actor: Actor,
    @Param({ schema: accountParams }) { id }: { id: string },
    @Body({ schema: adjustmentSchema }) adjustment: Adjustment,
    @IdempotencyKeyHeader() key: string | undefined,
    @Res({ passthrough: true }) reply: FastifyReply,
  ) {
    const { status, body, replayed } = await this.adjustments.adjust(actor, id, adjustment, key);
    void reply.code(status);
    if (replayed) void reply.header('idempotency-replayed', 'true');
    return body;
  }

  @Get('ledger/proof')
  @Operation({
    summary: 'Prove the ledger',
    description:
      'Computes every balance anew from the transfers, all as they are at one moment. It reads all of ' +
      'them: a few seconds for a million.',
    answers: { 200: { description: 'What was found', schema: ledgerProofSchema } },
  })
  prove(): Promise<ProofAnswer> {
    return this.proof.prove();
  }
}

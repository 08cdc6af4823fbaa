import { Controller, Get, Query } from '@nestjs/common';
import { CurrentUser, type Principal } from '../auth/access/principal.js';
import { Operation } from '../core/openapi/openapi.js';
import { validationFailed } from '../core/problems/problem.js';
import {
  balanceSchema,
  transferPageSchema,
  transferQuery,
  type TransferQuery,
} from './coins.schema.js';
import { Coins } from './coins.service.js';

/** One's own coins. */
@Controller('api/v1/coins')
export class CoinsController {
  constructor(private readonly coins: Coins) {}

  @Get()
  @Operation({
    summary: 'Show your coins',
    answers: { 200: { description: 'What you have', schema: balanceSchema } },
  })
  balance(@CurrentUser() { userId }: Principal) {
    return this.coins.balance(userId);
  }

  @Get('transfers')
  @Operation({
    summary: 'List what moved your coins',
    description: 'The newest first. The sum of all `change` is `posted`.',
    answers: { 200: { description: 'A page of transfers', schema: transferPageSchema } },
    problems: [validationFailed],
  })
  transfers(
    @CurrentUser() { userId }: Principal,
    @Query({ schema: transferQuery }) query: TransferQuery,
  ) {
    return this.coins.history(userId, query);
  }
}

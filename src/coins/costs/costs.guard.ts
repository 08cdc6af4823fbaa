import {
  applyDecorators,
  type CanActivate,
  type ExecutionContext,
  Injectable,
  SetMetadata,
  UseGuards,
} from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import type { AuthenticatedRequest } from '../../auth/access/principal.js';
import { Problems } from '../../core/openapi/openapi.js';
import { InsufficientCoins, insufficientCoins } from '../coins.problems.js';
import { Coins } from '../coins.service.js';
import { Prices } from './prices.js';

const COSTS = 'coins:costs';

/**
 * Refuses who cannot pay for what a route makes before anything is done for them. The ledger decides
 * all the same, when it puts the coins on hold.
 *
 * It is a guard of the route, so that it comes after those of the application: whoever is not let in
 * hears that, and not what it would cost. The module of the route imports `CoinsModule`.
 *
 * @param thing whose price somebody has registered with `Prices`
 */
export function Costs(thing: string): MethodDecorator {
  return applyDecorators(
    SetMetadata(COSTS, thing),
    UseGuards(CostsGuard),
    Problems(insufficientCoins),
  );
}

@Injectable()
export class CostsGuard implements CanActivate {
  constructor(
    private readonly reflector: Reflector,
    private readonly prices: Prices,
    private readonly coins: Coins,
  ) {}

  async canActivate(context: ExecutionContext): Promise<true> {
    const thing = this.reflector.get<string>(COSTS, context.getHandler());
    const { user, body, headers } = context.switchToHttp().getRequest<AuthenticatedRequest>();
    // With a key it may have been paid for already, and is to be answered as before.
    if (!user || headers['idempotency-key'] !== undefined) return true;
    const need = this.prices.of(thing, body);
    if (need === undefined) return true;
    const { available: have } = await this.coins.balance(user.userId);
    if (have < need) throw new InsufficientCoins({ need, have });
    return true;
  }
}

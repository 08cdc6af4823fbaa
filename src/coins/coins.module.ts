import { Module } from '@nestjs/common';
import { PersonalData } from '../core/personal-data/personal-data.js';
import { UserFigures } from '../core/user-figures.js';
import { AdminCoinsController } from './administration/admin-coins.controller.js';
import { Adjustments } from './administration/adjustments.service.js';
import { LedgerProof } from './administration/ledger-proof.js';
import { CoinPersonalData } from './coin-personal-data.js';
import { CoinsController } from './coins.controller.js';
import { Coins } from './coins.service.js';
import { CostsGuard } from './costs/costs.guard.js';
import { Prices } from './costs/prices.js';

/** Coins: who has how many, what moved them, and what can be had for them. */
@Module({
  controllers: [AdminCoinsController, CoinsController],
  providers: [Adjustments, CoinPersonalData, Coins, CostsGuard, LedgerProof, Prices],
  exports: [Coins, CostsGuard, Prices],
})
export class CoinsModule {
  constructor(
    personalData: PersonalData,
    figures: UserFigures,
    transfers: CoinPersonalData,
    coins: Coins,
  ) {
    personalData.register(transfers);
    figures.register('coins', (userIds) => coins.available(userIds));
    figures.register('coinsSpent', (userIds) => coins.spent(userIds));
  }
}

import { IsolationLevel } from '@mikro-orm/core';
import { EntityManager } from '@mikro-orm/postgresql';
import { Injectable } from '@nestjs/common';
import { SharedAnswer } from '../../core/shared-answer.js';
import type { ProofAnswer } from './admin-coins.schema.js';
import {
  accountsInOrder,
  NO_TRANSFERS,
  type StoredAccount,
  sumsInOrder,
  type TransferSums,
} from './ledger-walk.js';

/** How many differences are told one by one: a ledger with more needs a person, not a list. */
const MAX_DIFFERENCES = 100;

/** Computes from the transfers what all accounts should have, and compares it with what they say. */
@Injectable()
export class LedgerProof {
  private readonly proof = new SharedAnswer(() => this.compare(), 0);

  constructor(private readonly em: EntityManager) {}

  /**
   * Goes through accounts and transfers side by side, in pages, within one snapshot of the primary: so
   * it takes no more memory for more of them, no statement takes long, and nothing waits for it.
   *
   * A process has one proof under way at a time. Who asks meanwhile shares the next one, which knows
   * all that happened before they asked.
   */
  prove(): Promise<ProofAnswer> {
    return this.proof.getNew();
  }

  private compare(): Promise<ProofAnswer> {
    return this.em.fork().transactional(compareAll, {
      isolationLevel: IsolationLevel.REPEATABLE_READ,
      readOnly: true,
    });
  }
}

async function compareAll(em: EntityManager): Promise<ProofAnswer> {
  const findings = new Findings();
  const allSums = sumsInOrder(em);
  let sums = await allSums.next();
  for await (const account of accountsInOrder(em)) {
    if (!sums.done && sums.value.accountId === account.id) {
      findings.add(account, sums.value);
      sums = await allSums.next();
    } else {
      findings.add(account, NO_TRANSFERS);
    }
  }
  if (!sums.done) throw new Error(`There are transfers of no account: ${sums.value.accountId}`);
  return findings.answer();
}

/** What has been found so far. Sums are exact, whatever somebody may have written into the tables. */
class Findings {
  private accounts = 0;
  private transfers = 0;
  private differenceCount = 0;
  private readonly differences: ProofAnswer['differences'] = [];
  private readonly balances = { issued: 0n, revenue: 0n, promotions: 0n };
  private stored = 0n;

  add(account: StoredAccount, sums: TransferSums): void {
    this.accounts += 1;
    this.transfers += sums.transfers;
    this.stored += account.posted;
    this.balances.issued += sums.issued;
    this.balances.revenue += sums.revenue;
    this.balances.promotions += sums.promotions;
    const isSame = account.posted === sums.posted && account.held === sums.held;
    if (!isSame || sums.misfits > 0) this.addDifference(account, sums);
  }

  answer(): ProofAnswer {
    const { accounts, transfers, differences, differenceCount } = this;
    const { issued, revenue, promotions } = this.balances;
    return {
      ...{ accounts, transfers, differences, differenceCount },
      balances: {
        issued: Number(issued),
        revenue: Number(revenue),
        promotions: Number(promotions),
      },
      sum: Number(this.stored + issued + revenue + promotions),
    };
  }

  private addDifference({ id, userId, posted, held }: StoredAccount, sums: TransferSums): void {
    this.differenceCount += 1;
    if (this.differences.length === MAX_DIFFERENCES) return;
    this.differences.push({
      accountId: id,
      userId,
      stored: { posted: Number(posted), held: Number(held) },
      computed: { posted: Number(sums.posted), held: Number(sums.held) },
      misfits: sums.misfits,
    });
  }
}

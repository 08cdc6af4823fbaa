import { defineEntity, p } from '@mikro-orm/core';
import type { ModelDriver } from '../../images/generated/provenance.js';

const ErasedGenerationCostSchema = defineEntity({
  name: 'ErasedGenerationCost',
  tableName: 'erased_generation_costs',
  comment: 'What the generations of people who were erased came to, by day and model',
  properties: {
    /** On which they were asked for, in UTC. */
    day: p.date().primary(),
    model: p.string().length(100).primary(),
    driver: p.string().length(16).$type<ModelDriver>().primary(),
    generations: p.bigint('number'),
    /** Of them, those that brought no picture. */
    failed: p.bigint('number'),
    pictures: p.bigint('number'),
    coinsCharged: p.bigint('number'),
    /** Null when none is known. */
    costMicros: p.bigint('number').nullable(),
  },
});

/** What the operator's books need of generations that are gone. Nothing of it leads to anybody. */
export class ErasedGenerationCost extends ErasedGenerationCostSchema.class {}
ErasedGenerationCostSchema.setClass(ErasedGenerationCost);

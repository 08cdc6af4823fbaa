import { defineEntity, p } from '@mikro-orm/core';

const ModelSlotSchema = defineEntity({
  name: 'ModelSlot',
  tableName: 'model_slots',
  comment: 'When each model may be asked for the next picture, where there is a rate',
  properties: {
    model: p.string().length(100).primary(),
    nextAt: p.datetime(3),
  },
});

export class ModelSlot extends ModelSlotSchema.class {}
ModelSlotSchema.setClass(ModelSlot);

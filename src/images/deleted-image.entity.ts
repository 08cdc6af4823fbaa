import { defineEntity, p } from '@mikro-orm/core';
import { User } from '../auth/user.entity.js';

const DeletedImageSchema = defineEntity({
  name: 'DeletedImage',
  tableName: 'deleted_images',
  comment: 'Remembers for a day what its owner deleted, so that deleting it again succeeds',
  properties: {
    id: p.uuid().primary(),
    userId: () => p.manyToOne(User).mapToPk().fieldName('user_id').deleteRule('cascade'),
    deletedAt: p.datetime(3).index(),
  },
});

export class DeletedImage extends DeletedImageSchema.class {}
DeletedImageSchema.setClass(DeletedImage);

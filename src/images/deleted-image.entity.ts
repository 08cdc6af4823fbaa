import { defineEntity, p } from '@mikro-orm/core';
import { User } from '../auth/users/user.entity.js';

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

/** Holds for its owner alone: for everyone else the image never was. */
export class DeletedImage extends DeletedImageSchema.class {}
DeletedImageSchema.setClass(DeletedImage);

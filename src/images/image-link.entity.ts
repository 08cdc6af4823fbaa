import { defineEntity, p } from '@mikro-orm/core';
import { Image } from './image.entity.js';

const ImageLinkSchema = defineEntity({
  name: 'ImageLink',
  tableName: 'image_links',
  comment: 'Where an image is used: a linked one is not cleaned up',
  properties: {
    id: p.uuid().primary(),
    imageId: () => p.manyToOne(Image).mapToPk().fieldName('image_id').deleteRule('cascade'),
    // Foreign keys come with the tables that they point to.
    courseId: p.uuid().nullable(),
    sessionId: p.uuid().nullable(),
    createdAt: p.datetime(3),
  },
  uniques: [{ properties: ['imageId', 'courseId'] }, { properties: ['imageId', 'sessionId'] }],
  checks: [
    {
      name: 'image_links_one_place',
      expression: 'num_nonnulls(course_id, session_id) = 1',
    },
  ],
});

export class ImageLink extends ImageLinkSchema.class {}
ImageLinkSchema.setClass(ImageLink);

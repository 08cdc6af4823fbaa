import { defineEntity, p } from '@mikro-orm/core';
import { Image } from '../images/image.entity.js';
import { Generation } from './generation.entity.js';

const GenerationImageSchema = defineEntity({
  name: 'GenerationImage',
  tableName: 'generation_images',
  comment: 'Which images are made by which generation',
  properties: {
    generation: () => p.manyToOne(Generation).mapToPk().primary().deleteRule('cascade'),
    /** From 0. */
    position: p.smallint().primary(),
    imageId: () =>
      p.manyToOne(Image).mapToPk().fieldName('image_id').unique().deleteRule('cascade'),
  },
});

export class GenerationImage extends GenerationImageSchema.class {
  constructor(generationId: string, position: number, imageId: string) {
    super();
    this.generation = generationId;
    this.position = position;
    this.imageId = imageId;
  }
}
GenerationImageSchema.setClass(GenerationImage);

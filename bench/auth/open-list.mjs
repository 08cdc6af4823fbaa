import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Controller, Get, Query } from '@nestjs/common';

// Preloaded by an API process: gives it the list of images once more, of one account, for anyone. All
// but the guards is the same. JavaScript, so that Node has no types to erase.

const source = (path) => import(pathToFileURL(join(dirname(process.argv[1]), path)).href);
const { ImagesModule } = await source('images/images.module.js');
const { ImagesService } = await source('images/images.service.js');
const { listQuery } = await source('images/image.schema.js');
const { Public } = await source('core/http/public.js');

const owner = { userId: process.env.BENCH_USER_ID };

class OpenListController {
  constructor(images) {
    this.images = images;
  }

  list(query) {
    return this.images.list(owner, query);
  }
}
const list = Object.getOwnPropertyDescriptor(OpenListController.prototype, 'list');
Get()(OpenListController.prototype, 'list', list);
Public()(OpenListController.prototype, 'list', list);
Query({ schema: listQuery })(OpenListController.prototype, 'list', 0);
Controller('api/v1/open-images')(OpenListController);
Reflect.defineMetadata('design:paramtypes', [ImagesService], OpenListController);

const controllers = Reflect.getMetadata('controllers', ImagesModule);
Reflect.defineMetadata('controllers', [...controllers, OpenListController], ImagesModule);

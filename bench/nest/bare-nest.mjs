import 'reflect-metadata';
import { Controller, Get, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter } from '@nestjs/platform-fastify';

// The least that is Nest on Fastify: one controller. JavaScript, so that Node has no types to erase.

class HealthController {
  live() {
    return { status: 'ok' };
  }
}
const live = Object.getOwnPropertyDescriptor(HealthController.prototype, 'live');
Get()(HealthController.prototype, 'live', live);
Controller('health')(HealthController);

class AppModule {}
Module({ controllers: [HealthController] })(AppModule);

process.on('disconnect', () => process.exit());
const app = await NestFactory.create(AppModule, new FastifyAdapter(), { logger: false });
await app.listen(0, '127.0.0.1');
process.send({ port: app.getHttpServer().address().port });

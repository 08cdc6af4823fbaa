import { Module } from '@nestjs/common';
import { Principals } from './principals.js';

/** Who is behind a request: for the guards, and for answers that go on after they have let one in. */
@Module({ providers: [Principals], exports: [Principals] })
export class AccessModule {}

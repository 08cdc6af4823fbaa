import { Controller, Delete, Get, HttpCode, Param, Query } from '@nestjs/common';
import { Operation } from '../../core/openapi/openapi.js';
import { notFound, validationFailed } from '../../core/problems/problem.js';
import { CurrentUser, type Principal } from '../access/principal.js';
import {
  sessionPageSchema,
  sessionParams,
  type SessionQuery,
  sessionQuery,
} from './session.schema.js';
import { Sessions } from './sessions.service.js';

/** Where an account is signed in. */
@Controller('api/v1/auth/sessions')
export class SessionsController {
  constructor(private readonly sessions: Sessions) {}

  @Get()
  @Operation({
    summary: 'List where you are signed in',
    answers: { 200: { description: 'The last used first', schema: sessionPageSchema } },
    problems: [validationFailed],
  })
  list(@CurrentUser() user: Principal, @Query({ schema: sessionQuery }) query: SessionQuery) {
    return this.sessions.list(user, query);
  }

  @Delete(':id')
  @HttpCode(204)
  @Operation({
    summary: 'Sign out on another device',
    answers: { 204: { description: 'The session is over' } },
    problems: [notFound, validationFailed],
  })
  end(@CurrentUser() user: Principal, @Param({ schema: sessionParams }) { id }: { id: string }) {
    return this.sessions.end(user, id);
  }
}

import { Module } from '@nestjs/common';
import { RefreshTokens } from '../tokens/refresh-tokens.js';
import { SigningKeys } from '../tokens/signing-keys.js';
import { SessionUpkeep } from './session-upkeep.js';
import { Sessions } from './sessions.service.js';

/** Sign-ins and what they go on with, in the API and in the worker. */
@Module({
  providers: [RefreshTokens, Sessions, SessionUpkeep, SigningKeys],
  exports: [RefreshTokens, Sessions, SessionUpkeep, SigningKeys],
})
export class SessionsModule {}

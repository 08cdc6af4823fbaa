import { Inject, Module } from '@nestjs/common';
import { ENV, type Env } from '../../core/env.js';
import { Capabilities } from '../../core/process/capabilities.js';
import { SignInModule } from '../sign-in/sign-in.module.js';
import { FlowStates } from './flow-states.js';
import { GoogleAccounts } from './google-accounts.service.js';
import { GoogleConfiguredGuard, signInCapability } from './google-configured.guard.js';
import { GoogleFlow } from './google-flow.js';
import { GoogleLinksController } from './google-links.controller.js';
import { GoogleLinks } from './google-links.service.js';
import { GoogleSignInController } from './google-sign-in.controller.js';
import { GoogleSignIn } from './google-sign-in.service.js';
import { IdTokens } from './id-tokens.js';
import { StateCookie } from './state-cookie.js';

/** Signing in with Google, and the links of accounts with it. */
@Module({
  imports: [SignInModule],
  controllers: [GoogleSignInController, GoogleLinksController],
  providers: [
    FlowStates,
    GoogleAccounts,
    GoogleConfiguredGuard,
    GoogleFlow,
    GoogleLinks,
    GoogleSignIn,
    IdTokens,
    StateCookie,
  ],
})
export class GoogleModule {
  constructor(capabilities: Capabilities, @Inject(ENV) env: Env) {
    capabilities.register(signInCapability(env));
  }
}

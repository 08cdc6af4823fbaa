import type { Env } from '../../core/env.js';
import type { Capability } from '../../core/process/capabilities.js';
import type { ModelDriver } from '../../images/generated/provenance.js';

/** The variables that choose. */
export type ModelDriverEnv = Pick<Env, 'GEMINI_API_KEY' | 'NODE_ENV' | 'ALLOW_SANDBOX'>;

/**
 * What pictures are asked of. The local painter takes words for what they name and understands
 * nothing: nobody would want to pay for that by surprise, so production has it when told to.
 */
export function modelDriver(env: ModelDriverEnv): ModelDriver | 'not-configured' {
  if (env.GEMINI_API_KEY !== undefined) return 'gemini';
  return env.NODE_ENV === 'production' && !env.ALLOW_SANDBOX ? 'not-configured' : 'local';
}

/** What `GET /health/capabilities` tells of it. */
export function modelCapability(env: ModelDriverEnv): Capability {
  const driver = modelDriver(env);
  return { part: 'picture-model', driver, embedded: driver === 'local' };
}

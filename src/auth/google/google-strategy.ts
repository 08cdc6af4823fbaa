import { Strategy } from 'passport-google-oauth20';
import type { Env } from '../../core/env.js';
import { askGoogle } from './google.client.js';
import { type FlowPurpose, type FlowState, type FlowStates, isStateOf } from './flow-states.js';

const SCOPE = ['openid', 'email', 'profile'];

/** One way to Google, or back from there: what the strategy is handed for a request. */
export interface FlowLeg {
  readonly query: { readonly code?: string; readonly state?: string };
  /** What a way there is for. */
  readonly purpose?: FlowPurpose;
  /** What a way back has begun with; on a way there the strategy leaves it here. */
  kept?: FlowState;
}

type Done = (error: Error | null, ...results: unknown[]) => void;

/** passport-google-oauth20 with PKCE, with states that the browser keeps, and within bounds. */
export class GoogleStrategy extends Strategy {
  constructor(env: Env, states: FlowStates) {
    const options = {
      clientID: env.GOOGLE_CLIENT_ID ?? '',
      clientSecret: env.GOOGLE_CLIENT_SECRET ?? '',
      callbackURL: env.GOOGLE_CALLBACK_URL,
      authorizationURL: env.GOOGLE_AUTH_URL,
      tokenURL: env.GOOGLE_TOKEN_URL,
      userProfileURL: env.GOOGLE_USERINFO_URL,
      scope: SCOPE,
      // By S256. The types of the library want a request of Express and a fixed `this`.
      pkce: true,
      store: stateStore(states) as never,
    };
    super(options, (_accessToken, _refreshToken, profile, done) => {
      done(null, profile._json);
    });
    // In a header: addresses are logged on the way.
    this._oauth2.useAuthorizationHeaderforGET(true);
    // Its own requests have no end when the answer has none, in time or in size.
    Object.assign(this._oauth2, { _request: request });
  }
}

/** As passport-oauth2 calls it, by the number of parameters; without one, it sends no state at all. */
function stateStore(states: FlowStates) {
  return {
    store(leg: FlowLeg, verifier: string, _state: unknown, _meta: unknown, done: Done): void {
      if (!leg.purpose) throw new Error('A way to Google that is for nothing');
      leg.kept = states.make(leg.purpose, verifier);
      done(null, leg.kept.state);
    },
    verify({ kept }: FlowLeg, given: string | undefined, done: Done): void {
      done(null, kept && isStateOf(kept, given) && kept.verifier);
    },
  };
}

/** Stands for `OAuth2._request` of `oauth`, whose callers tell failures by `statusCode` and `data`. */
function request(
  method: string,
  url: string,
  headers: Record<string, string>,
  body: string,
  _accessToken: string | null,
  done: (error: unknown, data?: string) => void,
): void {
  askGoogle(url, { method, headers, ...(body !== '' && { body }) })
    .then(({ status, text }) => {
      if (status === 200) done(null, text);
      else done({ statusCode: status, data: text });
    })
    // Also what the library throws at an answer that is no object.
    .catch((error: unknown) => {
      done(error);
    });
}

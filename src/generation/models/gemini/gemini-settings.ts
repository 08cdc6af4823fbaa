import type { Env } from '../../../core/env.js';

/** How Gemini is asked. */
export interface GeminiSettings {
  readonly apiKey: string;
  readonly model: string;
  readonly baseUrl: string;
  /** For one answer, from the connection to its last byte, in milliseconds. */
  readonly timeoutMs: number;
  /** Of a million tokens each; null when the operator has set none. */
  readonly prices: GeminiPrices | null;
}

/** In units of one currency. */
export interface GeminiPrices {
  readonly input: number;
  readonly text: number;
  readonly picture: number;
}

/** The settings, if Gemini is set up. */
export function geminiSettings(env: Env): GeminiSettings | undefined {
  const { GEMINI_API_KEY: apiKey } = env;
  if (apiKey === undefined) return undefined;
  return {
    apiKey,
    model: env.GEMINI_IMAGE_MODEL,
    baseUrl: env.GEMINI_BASE_URL,
    timeoutMs: env.GEMINI_TIMEOUT_MS,
    prices: pricesOf(env),
  };
}

/** The environment has all of them or none. */
function pricesOf(env: Env): GeminiPrices | null {
  const { GEMINI_PRICE_INPUT: input, GEMINI_PRICE_TEXT: text, GEMINI_PRICE_PICTURE: picture } = env;
  if (input === undefined || text === undefined || picture === undefined) return null;
  return { input, text, picture };
}

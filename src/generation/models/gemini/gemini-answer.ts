import { z } from 'zod';
import type { GeminiPrices } from './gemini-settings.js';
import type { Bill, ModelUsage, Painting } from '../image-model.js';
import { type BlockedReason, ModelRefusal, ModelUnavailable } from '../model-errors.js';

/** The reasons of Google that mean that something may not be painted. Others mean that it was not. */
const BLOCKED: ReadonlyMap<string, BlockedReason> = new Map([
  ['SAFETY', 'safety'],
  ['IMAGE_SAFETY', 'safety'],
  ['JAILBREAK', 'safety'],
  ['MODEL_ARMOR', 'safety'],
  ['BLOCKLIST', 'prohibited'],
  ['PROHIBITED_CONTENT', 'prohibited'],
  ['IMAGE_PROHIBITED_CONTENT', 'prohibited'],
  ['RECITATION', 'recitation'],
  ['IMAGE_RECITATION', 'recitation'],
  ['SPII', 'personal-data'],
]);

const part = z.object({
  thought: z.boolean().nullish(),
  // What `mimeType` beside it claims is often wrong.
  inlineData: z.object({ data: z.string().nullish() }).nullish(),
});

const tokens = z.number().int().nonnegative().optional().catch(undefined);

const usageMetadata = z.object({
  promptTokenCount: tokens,
  toolUsePromptTokenCount: tokens,
  candidatesTokenCount: tokens,
  thoughtsTokenCount: tokens,
  candidatesTokensDetails: z
    .array(z.object({ modality: z.string().optional(), tokenCount: tokens }))
    .optional()
    .catch(undefined),
});

/** What of an answer is read: https://ai.google.dev/api/generate-content#v1beta.GenerateContentResponse */
const answered = z.object({
  promptFeedback: z.object({ blockReason: z.string().nullish() }).nullish(),
  candidates: z
    .array(
      z.object({
        finishReason: z.string().nullish(),
        content: z.object({ parts: z.array(part).nullish() }).nullish(),
      }),
    )
    .nullish(),
  usageMetadata: usageMetadata.nullish().catch(null),
});

type Part = z.output<typeof part>;
type UsageMetadata = z.output<typeof usageMetadata>;

/**
 * The picture in an answer, which may stand behind text and thoughts, or be missing: an answer of 200
 * promises none.
 *
 * @throws ModelRefusal when there is none; ModelUnavailable when it is no answer of Gemini's
 */
export function readPainting(answer: unknown, prices: GeminiPrices | null): Painting {
  const { success, data } = answered.safeParse(answer);
  if (!success) throw new ModelUnavailable('unavailable', 'Gemini answers in an unknown form');
  const candidates = data.candidates ?? [];
  const parts = candidates.flatMap(({ content }) => content?.parts ?? []).filter(isShown);
  const bill = billOf(data.usageMetadata ?? null, prices);
  const { blockReason } = data.promptFeedback ?? {};
  const reasons = [blockReason, ...candidates.map(({ finishReason }) => finishReason)];
  const blocked = reasons
    .map((name) => BLOCKED.get(name ?? ''))
    .find((reason) => reason !== undefined);
  if (blocked ?? blockReason) throw refusal(blocked ?? 'other', bill);
  const pictures = parts.flatMap(({ inlineData }) => inlineData?.data ?? []);
  if (pictures.length === 0) {
    throw new ModelRefusal('no-image', 'The model answered without a picture.', { bill });
  }
  const bytes = Buffer.from(pictures.find((text) => text !== '') ?? '', 'base64');
  if (bytes.length === 0) {
    throw new ModelRefusal('bad-output', 'The model sent an empty picture.', { bill });
  }
  return { bytes, ...bill };
}

/** Thoughts may hold drafts. */
function isShown({ thought }: Part): boolean {
  return thought !== true;
}

const BLOCKED_WORDS: Readonly<Record<BlockedReason, string>> = {
  safety: 'The model holds the prompt or the picture to be unsafe.',
  prohibited: 'The prompt or the picture is of a kind that the model does not make.',
  recitation: 'The picture would be too close to one that exists.',
  'personal-data': 'The prompt or the picture has personal data that the model does not show.',
  other: 'The model refuses the prompt.',
};

function refusal(reason: BlockedReason, bill: Bill): ModelRefusal {
  return new ModelRefusal('blocked', BLOCKED_WORDS[reason], { reason, bill });
}

function billOf(metadata: UsageMetadata | null, prices: GeminiPrices | null): Bill {
  const usage = metadata && usageOf(metadata);
  return { usage, costMicros: usage && prices && costOf(usage, prices) };
}

/** Where Google does not tell tokens of pictures from those of text, all that was made is picture. */
function usageOf(metadata: UsageMetadata): ModelUsage {
  const { candidatesTokenCount: made = 0, candidatesTokensDetails: details } = metadata;
  const pictures = (details ?? [{ modality: 'IMAGE', tokenCount: made }])
    .filter(({ modality }) => modality === 'IMAGE')
    .reduce((sum, { tokenCount = 0 }) => sum + tokenCount, 0);
  return {
    input: (metadata.promptTokenCount ?? 0) + (metadata.toolUsePromptTokenCount ?? 0),
    text: Math.max(0, made - pictures) + (metadata.thoughtsTokenCount ?? 0),
    picture: pictures,
  };
}

/** A unit for a million tokens is a millionth of a unit for each. */
function costOf(usage: ModelUsage, prices: GeminiPrices): number {
  const { input, text, picture } = prices;
  return Math.round(usage.input * input + usage.text * text + usage.picture * picture);
}

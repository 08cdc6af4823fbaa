/** The manners that a picture can be asked for in. */
export const STYLES = ['natural', 'watercolour', 'poster', 'line', 'night'] as const;
export type Style = (typeof STYLES)[number];

/** What a model that reads is told of each, behind the prompt. */
export const STYLE_WORDS: Readonly<Record<Style, string>> = {
  natural: 'Natural light and colours, true to life.',
  watercolour:
    'Painted in watercolour on textured paper, with soft washes and visible pigment edges.',
  poster:
    'In the manner of a screen-printed vintage poster: flat colours, bold shapes, no lettering.',
  line: 'An ink line drawing on paper with a few light washes of colour.',
  night: 'At night, lit by the moon and by lamps.',
};

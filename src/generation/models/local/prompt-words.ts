import type { Colour } from './colour.js';
import type { Mood } from './palette.js';

/** What a picture can be of. */
export const MOTIFS = [
  'hills',
  'mountains',
  'sea',
  'forest',
  'dunes',
  'city',
  'flowers',
  'stones',
  'planets',
  'ribbons',
  'shapes',
] as const;
export type Motif = (typeof MOTIFS)[number];

/** What the painter understands of a prompt. */
export interface Hints {
  /** Undefined where no word names one. */
  readonly motif: Motif | undefined;
  readonly mood: Mood | undefined;
  /** In the order in which they are named. */
  readonly colours: readonly Colour[];
}

/** English and Spanish, as the rest of the product; in the singular, without accents. */
const MOTIF_WORDS: Readonly<Record<Motif, string>> = {
  hills:
    'hill meadow field valley countryside farm landscape river lake vineyard village pasture grass colina prado campo valle rio lago paisaje pueblo vina',
  mountains:
    'mountain alps alpine peak summit glacier cliff rock canyon volcano highland everest montana cumbre pico sierra volcan glaciar roca',
  sea: 'sea ocean beach coast wave shore island boat sail ship harbour harbor lighthouse surf sailing bay lagoon mar oceano playa ola costa isla barco puerto faro velero',
  forest: 'forest wood woodland tree pine fir birch jungle grove bosque arbol pino selva abedul',
  dunes: 'desert dune sand sahara oasis camel savanna desierto duna arena camello',
  city: 'city town street skyline building tower bridge roof house cafe studio window downtown architecture ciudad calle edificio torre puente tejado casa ventana',
  flowers:
    'flower rose tulip lily lotus blossom garden bouquet petal bloom botanical botanic leaf leaves plant herb fern lavender sunflower orchid peony poppy daisy vase floral flor rosa tulipan jardin ramo petalo planta hoja hierba lavanda girasol orquidea amapola margarita jarron',
  stones:
    'stone zen spa massage wellness balance pebble meditation yoga candle skin care aftercare serum cosmetic beauty cream bottle healing therapy harmony piedra masaje bienestar equilibrio meditacion vela piel belleza crema armonia',
  planets:
    'space planet galaxy star universe cosmos cosmic astronaut rocket saturn mars orbit nebula espacio planeta galaxia estrella universo astronauta cohete',
  ribbons:
    'abstract flow flowing silk wind smoke dream music jazz dance energy emotion soul abstracto flujo seda viento humo sueno musica baile energia alma',
  shapes:
    'geometric geometry shape pattern bauhaus mosaic modern minimal minimalist minimalism circle square triangle grid retro geometrico geometria forma patron mosaico moderno circulo cuadrado triangulo',
};

const MOOD_WORDS: Readonly<Record<Mood, string>> = {
  dawn: 'dawn sunrise morning daybreak amanecer manana alba',
  day: 'day noon summer sunny bright sunlight dia mediodia verano soleado',
  sunset: 'sunset evening golden warm fire flame ember atardecer ocaso tarde calido fuego',
  dusk: 'dusk twilight nightfall crepusculo anochecer',
  night:
    'night midnight moon moonlight moonlit dark starry star nocturnal noche medianoche luna oscuro',
  mist: 'mist misty fog foggy rain rainy cloud cloudy haze calm silent niebla bruma lluvia nube nublado calma',
  autumn: 'autumn fall autumnal october november harvest otono octubre cosecha',
  winter:
    'winter snow snowy ice frost frozen cold christmas arctic invierno nieve hielo escarcha frio navidad',
  spring: 'spring april may fresh blossom primavera abril mayo fresco',
};

const COLOUR_WORDS: readonly (readonly [words: string, l: number, c: number, h: number])[] = [
  ['red crimson scarlet ruby rojo carmesi', 0.57, 0.2, 27],
  ['coral salmon peach coralino melocoton', 0.74, 0.13, 35],
  ['orange amber copper terracotta naranja ambar cobre terracota', 0.71, 0.16, 52],
  ['yellow gold golden lemon mustard amarillo oro dorado limon mostaza', 0.84, 0.15, 88],
  ['lime chartreuse lima', 0.84, 0.18, 122],
  ['green emerald sage olive mint jade verde esmeralda salvia menta', 0.6, 0.13, 148],
  ['teal turquoise aqua cyan turquesa cian', 0.68, 0.1, 195],
  ['blue navy azure cobalt sapphire indigo azul celeste zafiro', 0.52, 0.15, 255],
  [
    'purple violet lavender lilac plum amethyst morado violeta purpura lila lavanda',
    0.58,
    0.15,
    303,
  ],
  ['magenta fuchsia fucsia', 0.6, 0.22, 345],
  ['pink rose blush rosa rosado', 0.77, 0.12, 358],
  ['brown chocolate coffee earth marron cafe tierra', 0.44, 0.07, 55],
  ['black ebony onyx negro', 0.24, 0.01, 270],
  ['white ivory cream blanco marfil', 0.95, 0.012, 90],
  ['grey gray silver gris plata', 0.66, 0.01, 250],
];

const motifs = byWord(Object.entries(MOTIF_WORDS) as [Motif, string][]);
const moods = byWord(Object.entries(MOOD_WORDS) as [Mood, string][]);
const colours = byWord(COLOUR_WORDS.map(([words, l, c, h]) => [{ l, c, h }, words] as const));

/** Takes a prompt for the words in it. Whatever else it holds is left to chance. */
export function readPrompt(prompt: string): Hints {
  const words = wordsOf(prompt);
  return {
    motif: mostNamed(words, motifs),
    mood: mostNamed(words, moods),
    colours: [...new Set(words.map((word) => find(word, colours)))].filter(
      (colour) => colour !== undefined,
    ),
  };
}

/** In lower case, without accents. */
function wordsOf(prompt: string): string[] {
  const plain = prompt.normalize('NFD').replace(/\p{M}/gu, '').toLowerCase();
  return plain.match(/\p{L}+/gu) ?? [];
}

/** The one that most words name; of several the first one. */
function mostNamed<T>(words: readonly string[], known: ReadonlyMap<string, T>): T | undefined {
  const named = words.map((word) => find(word, known)).filter((thing) => thing !== undefined);
  const countOf = (thing: T) => named.filter((each) => each === thing).length;
  return named.reduce<T | undefined>(
    (best, each) => (best === undefined || countOf(each) > countOf(best) ? each : best),
    undefined,
  );
}

/** A word as it stands, without the ending of its plural, or in Spanish as it is for men. */
function find<T>(word: string, known: ReadonlyMap<string, T>): T | undefined {
  const spellings = [
    word,
    ...[/s$/, /es$/].map((end) => word.replace(end, '')),
    word.replace(/as?$/, 'o'),
  ];
  return spellings.map((each) => known.get(each)).find((thing) => thing !== undefined);
}

function byWord<T>(entries: Iterable<readonly [T, string]>): ReadonlyMap<string, T> {
  return new Map(
    [...entries].flatMap(([thing, words]) =>
      words.split(' ').map((word) => [word, thing] as const),
    ),
  );
}

/** Characters, which are bytes here. Shorter than the 255 bytes that file systems give one name. */
export const MAX_KEY_LENGTH = 200;

/** The text is not a key of ours, so it reaches no store. */
export class InvalidStorageKey extends Error {
  constructor(text: string) {
    // It may come from anyone: shortened and quoted, so that it cannot forge a line of a log.
    super(`Not a storage key: ${JSON.stringify(text.slice(0, MAX_KEY_LENGTH))}`);
    this.name = 'InvalidStorageKey';
  }
}

const NAME = '[a-z0-9][a-z0-9-]*';
const NAME_PATTERN = new RegExp(`^${NAME}$`);
const KEY_PATTERN = new RegExp(`^(?:${NAME}/)*${NAME}\\.[a-z0-9]+$`);
const FOLDER_PATTERN = new RegExp(`^(?:${NAME}/)+$`);
/** The beginning of a key, up to any character of it. */
const PREFIX_PATTERN = new RegExp(`^(?:${NAME}/)*(?:${NAME}(?:\\.[a-z0-9]*)?)?$`);

/**
 * Whether the text is a key: folders, then a name with one extension, of lower-case letters, digits
 * and `-`.
 *
 * A folder has no dot and a file exactly one, so `..` and hidden names cannot be written, and no
 * key can be the folder of another. Lower case only, because some file systems ignore case.
 */
export function isStorageKey(text: string): boolean {
  return text.length <= MAX_KEY_LENGTH && KEY_PATTERN.test(text);
}

/** @throws InvalidStorageKey unless {@link isStorageKey} */
export function assertStorageKey(text: string): void {
  if (!isStorageKey(text)) throw new InvalidStorageKey(text);
}

export interface ImageKeyParts {
  userId: string;
  /** When the image was created, in milliseconds since 1970: a user's folder sorts by age. */
  epochMs: number;
  imageId: string;
  /** `original`, `large`, … */
  variant: string;
  /** Without the dot, from the detected type and never from the client's file name. */
  ext: string;
}

/** The folder of all pictures. */
export const IMAGES_FOLDER = 'images';
/** The folder of what arrives in parts. */
export const UPLOADS_FOLDER = 'uploads';
/** Nothing is stored elsewhere: the rest of a bucket may be somebody else's. */
export const FOLDERS = [IMAGES_FOLDER, UPLOADS_FOLDER] as const;

/**
 * `images/{userId}/{epochMs}-{imageId}/{variant}.{ext}`
 *
 * @throws InvalidStorageKey when a part has any other character than a name may have
 */
export function imageKey({ userId, epochMs, imageId, variant, ext }: ImageKeyParts): string {
  const key = `${IMAGES_FOLDER}/${userId}/${epochMs}-${imageId}/${variant}.${ext}`;
  // Part by part, because a slash inside a part would make a well-formed key of another folder.
  const parts = [userId, String(epochMs), imageId, variant, ext];
  if (!parts.every((part) => NAME_PATTERN.test(part))) throw new InvalidStorageKey(key);
  assertStorageKey(key);
  return key;
}

/** The folder of a key, with a slash at its end. */
export function folderOf(key: string): string {
  return key.slice(0, key.lastIndexOf('/') + 1);
}

/**
 * What the keys of {@link Storage.list} begin with.
 *
 * @throws InvalidStorageKey when the user's id is no name, or the prefix begins no key
 */
export function imagePrefix(userId: string, prefix = ''): string {
  const whole = `${IMAGES_FOLDER}/${userId}/${prefix}`;
  if (whole.length > MAX_KEY_LENGTH || !NAME_PATTERN.test(userId) || !PREFIX_PATTERN.test(prefix)) {
    throw new InvalidStorageKey(whole);
  }
  return whole;
}

/** @throws InvalidStorageKey unless it is folders of a key, each with its slash */
export function assertFolder(text: string): void {
  const isFolder = text.length <= MAX_KEY_LENGTH && FOLDER_PATTERN.test(text);
  if (!isFolder) throw new InvalidStorageKey(text);
}

/** Types that a browser may show. HTML, SVG and other active content is not among them. */
const CONTENT_TYPES = new Map([
  ['avif', 'image/avif'],
  ['gif', 'image/gif'],
  ['heic', 'image/heic'],
  ['jpeg', 'image/jpeg'],
  ['jpg', 'image/jpeg'],
  ['png', 'image/png'],
  ['webp', 'image/webp'],
]);

/** The type that a key's extension stands for; unknown ones are bytes to download. */
export function contentTypeOf(key: string): string {
  return CONTENT_TYPES.get(key.slice(key.lastIndexOf('.') + 1)) ?? 'application/octet-stream';
}

/** A `Content-Disposition` that shows a file, and names it for who saves it. */
export function inlineAs(fileName: string): string {
  return `inline; filename="${fileName.replace(/[^\w.-]/g, '_')}"`;
}

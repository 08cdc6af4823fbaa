import { v7 } from 'uuid';
import { z } from 'zod';

/** A new id: UUIDv7, so that ids made later sort later and indexes grow at one end. */
export function newId(): string {
  return v7();
}

/** An id that a client names, in the one spelling that ids are compared in. */
export const givenId = z.uuid().toLowerCase();

/** The id whose bytes are these, in hex. @param hex at least 32 digits, of which the first count */
export function idOfHex(hex: string): string {
  return hex.slice(0, 32).replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}

import { notFound, Problem } from '../core/problem.js';
import { ObjectNotFound, type Storage, type StoredObject } from './storage.js';

/** Opens a stored file for a client. @throws Problem `not-found` when it has gone meanwhile */
export async function openFile(storage: Storage, key: string): Promise<StoredObject> {
  try {
    return await storage.get(key);
  } catch (error) {
    if (error instanceof ObjectNotFound) throw new Problem(notFound, undefined, { cause: error });
    throw error;
  }
}

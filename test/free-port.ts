import { randomInt } from 'node:crypto';
import { tryPort } from '../src/standalone/free-port.js';

/**
 * Ports that no system gives to connections by itself: those that Linux gives begin at 32,768, those
 * of macOS at 49,152. So a port stays free until the product listens there, and while it is away,
 * whatever other suites do. A node of a Redis Cluster takes a second one, 10,000 above its own.
 */
const FIRST_PORT = 10_000;
/** Each worker of Jest has ports of its own. */
const PORTS_PER_WORKER = 800;
const WORKERS = 12;

const first =
  FIRST_PORT + (Number(process.env['JEST_WORKER_ID'] ?? 0) % WORKERS) * PORTS_PER_WORKER;
/** Elsewhere in each file, so that none meets what one before has not quite closed. */
let next = randomInt(PORTS_PER_WORKER);

/** A port of loopback that is free, and that is given to nobody else. */
export async function freePort(): Promise<number> {
  for (let tries = 0; tries < PORTS_PER_WORKER; tries += 1) {
    const port = first + (next % PORTS_PER_WORKER);
    next += 1;
    const isFree = await tryPort(port).then(
      () => true,
      () => false,
    );
    if (isFree) return port;
  }
  throw new Error(`All ports from ${first} on are taken.`);
}

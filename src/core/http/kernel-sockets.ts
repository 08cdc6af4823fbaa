import { createReadStream, existsSync, fstatSync, readFileSync } from 'node:fs';
import type { Server, Socket } from 'node:net';
import { handleOf } from './socket-handle.js';

/** Where Linux tells of the TCP sockets of this network: proc_pid_net(5). Elsewhere there is none. */
const TABLES = ['/proc/net/tcp', '/proc/net/tcp6'];

/**
 * A row: its number, both addresses, the state, the two queues in hexadecimal, the timer, how often
 * it was sent again, the user, the timeout, and the inode.
 */
const ROW = /^ *\d+: \S+ \S+ (\S\S) (\S{8}):(\S{8}) \S+ \S+ +\d+ +\d+ (\d+)/;
const ESTABLISHED = '01';

/** What the kernel says of one TCP socket. */
interface KernelSocket {
  isEstablished: boolean;
  /** How many bytes the other side has not acknowledged, sent or not. */
  unacknowledged: number;
  /** How many bytes wait to be read; of a listening socket, how many connections to be taken. */
  waiting: number;
}

/** Sockets by {@link inodeOf}. */
export type KernelSockets = Map<number, KernelSocket>;

/**
 * Asks the kernel, a few rows in each turn of the event loop: ten thousand of them take it a tenth
 * of a second.
 *
 * @returns undefined where it does not tell
 */
export async function readKernelSockets(): Promise<KernelSockets | undefined> {
  const sockets: KernelSockets = new Map();
  try {
    for (const table of tables()) {
      let rest = '';
      for await (const chunk of createReadStream(table, 'latin1') as AsyncIterable<string>) {
        const lines = (rest + chunk).split('\n');
        rest = lines.pop() ?? '';
        for (const line of lines) addRow(sockets, line);
      }
    }
    return sockets.size > 0 ? sockets : undefined;
  } catch {
    return undefined;
  }
}

/** The same, while nothing else happens in this process. */
export function readKernelSocketsNow(): KernelSockets | undefined {
  const sockets: KernelSockets = new Map();
  try {
    for (const table of tables()) {
      for (const line of readFileSync(table, 'latin1').split('\n')) addRow(sockets, line);
    }
    return sockets.size > 0 ? sockets : undefined;
  } catch {
    return undefined;
  }
}

/** Without IPv6 there is only the first. */
function tables(): string[] {
  return TABLES.filter((table) => existsSync(table));
}

/** What tells a socket from all others of this machine; undefined when it is closed. */
export function inodeOf(socket: Socket | Server): number | undefined {
  const { fd = -1 } = handleOf(socket) ?? {};
  return fd < 0 ? undefined : fstatSync(fd).ino;
}

function addRow(sockets: KernelSockets, line: string): void {
  const [, state, unacknowledged = '', waiting = '', inode] = ROW.exec(line) ?? [];
  if (inode === undefined) return;
  sockets.set(Number(inode), {
    isEstablished: state === ESTABLISHED,
    unacknowledged: Number.parseInt(unacknowledged, 16),
    waiting: Number.parseInt(waiting, 16),
  });
}

import { z } from 'zod';
import { givenId } from '../../core/ids.js';
import { pageOf, pageQuery } from '../../core/paging.js';
import type { Principal } from '../access/principal.js';
import type { Session } from './session.entity.js';

export const sessionSchema = z
  .object({
    id: z.uuid(),
    device: z.string().nullable().describe('What the client called itself: its `User-Agent`.'),
    address: z.string().nullable().describe('The IP address that it was last used from.'),
    isCurrent: z.boolean().describe('Whether it is the one that asks.'),
    createdAt: z.iso.datetime(),
    lastUsedAt: z.iso.datetime().describe('When it was begun or last refreshed.'),
    expiresAt: z.iso.datetime().describe('When it ends unless it is refreshed.'),
  })
  .meta({ id: 'Session' });

export const sessionPageSchema = pageOf(sessionSchema).meta({ id: 'SessionPage' });

export const sessionQuery = pageQuery({});

export const sessionParams = z.object({ id: givenId });

export type SessionAnswer = z.output<typeof sessionSchema>;
export type SessionQuery = z.output<typeof sessionQuery>;

/** A session as its owner sees it. */
export function presentSession(session: Session, { sessionId }: Principal): SessionAnswer {
  return {
    id: session.id,
    device: session.device ?? null,
    address: session.address ?? null,
    isCurrent: session.id === sessionId,
    createdAt: session.createdAt.toISOString(),
    lastUsedAt: session.lastUsedAt.toISOString(),
    expiresAt: session.expiresAt.toISOString(),
  };
}

import { defineEntity, p } from '@mikro-orm/core';
import { newId } from '../../core/ids.js';
import { User } from '../users/user.entity.js';

/** Why a session ended before its time. */
const SESSION_ENDS = [
  'signed-out',
  'ended-by-owner',
  'ended-by-admin',
  'signed-out-everywhere',
  'password-changed',
  'account-disabled',
  'token-reused',
  'too-many',
] as const;
export type SessionEnd = (typeof SESSION_ENDS)[number];

/** The most of a `User-Agent` that is kept, in characters. */
const MAX_DEVICE_LENGTH = 200;

const SessionSchema = defineEntity({
  name: 'Session',
  tableName: 'sessions',
  comment: 'Sign-ins on one device each: a family of refresh tokens',
  properties: {
    id: p.uuid().primary(),
    user: () => p.manyToOne(User).deleteRule('cascade'),
    /** SHA-256 of the family's newest refresh token, in hex. */
    tokenHash: p.string().length(64),
    /** When that one took the place of its predecessor. */
    rotatedAt: p.datetime(3),
    /** What the client called itself. */
    device: p.string().length(MAX_DEVICE_LENGTH).nullable(),
    /** The IP address that it was last used from. */
    address: p.string().length(45).nullable(),
    createdAt: p.datetime(3),
    lastUsedAt: p.datetime(3),
    /** When it ends unless it is used before. */
    expiresAt: p.datetime(3).index(),
    endedAt: p.datetime(3).nullable().index(),
    endedBecause: p.enum(SESSION_ENDS).nullable(),
  },
  indexes: [{ properties: ['user', 'lastUsedAt'] }],
});

/** What a new session is made of. */
interface SessionBeginning {
  /** Chosen before the token is made, which holds it. */
  id: string;
  user: User;
  tokenHash: string;
  device: string | null;
  address: string | null;
  expiresAt: Date;
}

export class Session extends SessionSchema.class {
  constructor({ id, user, tokenHash, device, address, expiresAt }: SessionBeginning) {
    super();
    this.id = id;
    this.user = user;
    this.tokenHash = tokenHash;
    this.device = device?.slice(0, MAX_DEVICE_LENGTH) ?? null;
    this.address = address;
    this.createdAt = new Date();
    this.rotatedAt = this.createdAt;
    this.lastUsedAt = this.createdAt;
    this.expiresAt = expiresAt;
  }

  static newId(): string {
    return newId();
  }
}
SessionSchema.setClass(Session);

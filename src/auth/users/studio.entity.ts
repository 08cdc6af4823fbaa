import { defineEntity, p } from '@mikro-orm/core';
import { newId } from '../../core/ids.js';
import { User } from './user.entity.js';

/** What a member may do in a studio. */
export const STUDIO_ROLES = ['OWNER', 'STAFF'] as const;
export type StudioRole = (typeof STUDIO_ROLES)[number];

const StudioSchema = defineEntity({
  name: 'Studio',
  tableName: 'studios',
  comment: 'Tenants: businesses with customers of their own',
  properties: {
    id: p.uuid().primary(),
    name: p.string().length(200),
    /** IANA zone of the studio's wall clock. */
    timezone: p.string().length(64).default('UTC'),
    /** BCP 47 tag for what its customers read. */
    locale: p.string().length(35).default('en'),
    createdAt: p.datetime(3),
    updatedAt: p.datetime(3).onUpdate(() => new Date()),
  },
});

export class Studio extends StudioSchema.class {
  constructor(name: string) {
    super();
    this.id = newId();
    this.name = name;
    this.timezone = 'UTC';
    this.locale = 'en';
    this.createdAt = new Date();
    this.updatedAt = this.createdAt;
  }
}
StudioSchema.setClass(Studio);

const StudioMemberSchema = defineEntity({
  name: 'StudioMember',
  tableName: 'studio_members',
  comment: 'Who works at which studio, and as what',
  properties: {
    studio: () => p.manyToOne(Studio).primary().deleteRule('cascade'),
    user: () => p.manyToOne(User).primary().deleteRule('cascade').index(),
    role: p.enum(STUDIO_ROLES),
    createdAt: p.datetime(3),
  },
});

export class StudioMember extends StudioMemberSchema.class {
  constructor(studio: Studio, user: User, role: StudioRole) {
    super();
    this.studio = studio;
    this.user = user;
    this.role = role;
    this.createdAt = new Date();
  }
}
StudioMemberSchema.setClass(StudioMember);

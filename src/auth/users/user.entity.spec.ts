import { describe, expect, it } from '@jest/globals';
import { User } from './user.entity.js';

describe('An account', () => {
  it.each([
    [{ firstName: 'Ana', lastName: 'Lovelace' }, 'Ana Lovelace'],
    [{ firstName: 'Ana María de la Cruz' }, 'Ana María de la Cruz'],
    [{ lastName: 'Lovelace' }, 'Lovelace'],
    [{ firstName: '', lastName: '' }, null],
    [{}, null],
  ])('with %j is called %j', (names, called) => {
    expect(new User({ email: 'a@example.com', ...names }).name).toBe(called);
  });

  it('has its address in small letters', () => {
    expect(new User({ email: 'Ana@Example.COM' }).email).toBe('ana@example.com');
  });

  it('begins as a user, and has each role once, however often it is given', () => {
    const user = new User({ email: 'a@example.com' });
    expect(user.roles).toEqual(['USER']);
    expect(user.isAdmin).toBe(false);
    user.addRole('ADMIN');
    user.addRole('ADMIN');
    expect(user.roles).toEqual(['USER', 'ADMIN']);
    expect(user.isAdmin).toBe(true);
    expect(user.hasRole('ADMIN')).toBe(true);
    user.removeRole('ADMIN');
    user.removeRole('ADMIN');
    expect(user.roles).toEqual(['USER']);
  });

  it('has a verified address only when somebody has seen that', () => {
    expect(new User({ email: 'a@example.com' }).emailVerifiedAt).toBeNull();
    expect(new User({ email: 'a@example.com', isEmailVerified: true }).emailVerifiedAt).toEqual(
      expect.any(Date),
    );
  });
});

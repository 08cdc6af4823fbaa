import { describe, expect, it } from '@jest/globals';
import type { Env } from '../../../core/env.js';
import { SealedSecrets } from './sealed-secrets.js';

const secretsOf = (APP_SECRET: string) => new SealedSecrets({ APP_SECRET } as Env);

const secrets = secretsOf('one secret of the application, long enough');

describe('a sealed secret', () => {
  it('opens for its account alone, and under its APP_SECRET alone', () => {
    const sealed = secrets.seal('JBSWY3DPEHPK3PXP', 'ana');
    expect(secrets.open(sealed, 'ana')).toBe('JBSWY3DPEHPK3PXP');
    expect(secrets.open(sealed, 'eve')).toBeUndefined();
    expect(secretsOf('another secret of the application').open(sealed, 'ana')).toBeUndefined();
  });

  it('is another text each time', () => {
    expect(secrets.seal('x', 'ana')).not.toBe(secrets.seal('x', 'ana'));
  });

  it('does not open when any bit of it was changed', () => {
    const bytes = Buffer.from(secrets.seal('JBSWY3DPEHPK3PXP', 'ana'), 'base64');
    for (let index = 0; index < bytes.length; index++) {
      const changed = Buffer.from(bytes);
      changed.writeUInt8(bytes.readUInt8(index) ^ 1, index);
      expect(secrets.open(changed.toString('base64'), 'ana')).toBeUndefined();
    }
  });

  it.each(['', 'x', 'AAAA', 'A'.repeat(36)])('is not %j', (sealed) => {
    expect(secrets.open(sealed, 'ana')).toBeUndefined();
  });
});

import { describe, expect, it } from '@jest/globals';
import { clientAddress, plainAddress } from './client-address.js';

describe('an address', () => {
  it.each([
    ['192.0.2.1', '192.0.2.1'],
    ['192.0.2.1:1', '192.0.2.1'],
    ['192.0.2.1:65535', '192.0.2.1'],
    ['2001:db8::1', '2001:db8::1'],
    ['2001:DB8:0:0::0001', '2001:db8::1'],
    ['[2001:db8::1]', '2001:db8::1'],
    ['[2001:db8::1]:443', '2001:db8::1'],
    ['2001:db8:1:2:3:4:5:6:443', '2001:db8:1:2:3:4:5:6'],
    ['fe80::1%eth0', 'fe80::1'],
    ['[fe80::1%25eth0]:443', 'fe80::1'],
    ['::ffff:192.0.2.1', '192.0.2.1'],
    ['::FFFF:c000:201', '192.0.2.1'],
    ['0:0:0:0:0:ffff:192.0.2.1', '192.0.2.1'],
    ['[::ffff:192.0.2.1]:443', '192.0.2.1'],
    ['::ffff:192.0.2.1:443', '192.0.2.1'],
    ['::1', '::1'],
  ])('is the same however it is written: %s', (text, address) => {
    expect(plainAddress(text)).toBe(address);
  });

  it.each([
    '',
    'unknown',
    '_hidden',
    'localhost',
    '192.0.2',
    '192.0.2.1:',
    '192.0.2.1:123456',
    '192.0.2.1:x',
    '192.0.2.1:1:2',
    '192.0.2.1, 192.0.2.2',
    '192.0.2.256',
    '192.0.2.1%eth0',
    '[192.0.2.1]',
    '[2001:db8::1',
    '[[2001:db8::1]]',
    '2001:db8::1::2',
    '"192.0.2.1"',
    '-1',
    ':443',
    '%',
    `fe80::1%${'x'.repeat(300)}`,
    'x'.repeat(16_000),
    ':1'.repeat(8_000),
  ])('is not told by %s', (text) => {
    expect(plainAddress(text)).toBeUndefined();
  });
});

describe('the address of a client', () => {
  it('is what the proxy says, or else that of the connection', () => {
    const socket = { remoteAddress: '::ffff:10.0.0.1' };
    expect(clientAddress({ ip: '192.0.2.1:5', socket })).toBe('192.0.2.1');
    expect(clientAddress({ ip: 'x'.repeat(300), socket })).toBe('10.0.0.1');
    expect(clientAddress({ ip: undefined, socket })).toBe('10.0.0.1');
  });

  it('is none when the connection is gone', () => {
    expect(clientAddress({ ip: undefined, socket: {} })).toBe('::');
  });
});

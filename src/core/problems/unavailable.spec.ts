import { describe, expect, it } from '@jest/globals';
import { isPoolExhausted, isUnavailable } from './unavailable.js';

const failure = (message: string, code?: string) => Object.assign(new Error(message), { code });

describe('what is taken for unavailable', () => {
  it.each([
    ['sorry, too many clients already', '53300'],
    ['remaining connection slots are reserved for roles with the SUPERUSER attribute', '53300'],
    ['the database system is starting up', '57P03'],
    ['terminating connection due to administrator command', '57P01'],
    ['canceling statement due to statement timeout', '57014'],
    ['terminating connection due to idle-in-transaction timeout', '25P03'],
    ['cannot execute INSERT in a read-only transaction', '25006'],
    ['query_wait_timeout', '08P01'],
    ['no more connections allowed (max_client_conn)', '08P01'],
    ['server login has been failing, try again later (server_login_retry)', '08P01'],
    ['password authentication failed for user "atelier_app"', '28P01'],
    ['certificate has expired', 'CERT_HAS_EXPIRED'],
    ['self-signed certificate in certificate chain', 'SELF_SIGNED_CERT_IN_CHAIN'],
    ['read ECONNRESET', 'ECONNRESET'],
    ['connect EMFILE 127.0.0.1:5432 - Local (undefined:undefined)', 'EMFILE'],
    ["ENFILE: file table overflow, open '/data/files/x'", 'ENFILE'],
    ['connect EADDRNOTAVAIL 127.0.0.1:5432 - Local (0.0.0.0:0)', 'EADDRNOTAVAIL'],
    ['connect ENOBUFS 127.0.0.1:5432', 'ENOBUFS'],
    ['timeout exceeded when trying to connect', undefined],
    ['Connection terminated due to connection timeout', undefined],
    ['Client has encountered a connection error and is not queryable', undefined],
    ['Query read timeout', undefined],
  ])('%s (%s)', (message, code) => {
    expect(isUnavailable(failure(message, code))).toBe(true);
    expect(isUnavailable(new Error('wrapped', { cause: failure(message, code) }))).toBe(true);
  });

  it.each([
    ['duplicate key value violates unique constraint', '23505'],
    ['relation "images" does not exist', '42P01'],
    ['permission denied for table users', '42501'],
    ['deadlock detected', '40P01'],
    ['Cannot read properties of undefined', undefined],
  ])('not: %s (%s)', (message, code) => {
    expect(isUnavailable(failure(message, code))).toBe(false);
  });

  it('a pool without a free connection is told from a server that is away', () => {
    expect(isPoolExhausted(failure('timeout exceeded when trying to connect'))).toBe(true);
    expect(isPoolExhausted(failure('Connection terminated due to connection timeout'))).toBe(false);
  });
});

import { describe, expect, it } from '@jest/globals';
import { fastify } from 'fastify';
import { offlineEnv } from '../env.js';
import { serverOptions } from './http.js';

describe('The server', () => {
  it('refuses to start with a route whose schema it would not check', async () => {
    const server = fastify(serverOptions(offlineEnv(), (_method, url) => url) as object);
    const schema = { querystring: { type: 'object', required: ['id'] } };
    server.get('/checked', { schema }, () => 'never');
    await expect(server.ready()).rejects.toThrow('A route has a schema of Fastify');
  });

  it('refuses to start with a route whose answers it would not serialise by their schema', async () => {
    const server = fastify(serverOptions(offlineEnv(), (_method, url) => url) as object);
    server.get('/shaped', { schema: { response: { 200: { type: 'string' } } } }, () => 'never');
    await expect(server.ready()).rejects.toThrow('A route has a schema of Fastify');
  });
});

import { z } from 'zod';
import { documented, MINUTES, SECONDS } from './documented.js';
import { httpUrl, networks, origins, whole } from './values.js';

export const httpVariables = {
  HOST: documented(z.string().default('127.0.0.1'), {
    help: 'The address to listen on; 0.0.0.0 in a container.',
  }),
  PORT: documented(whole(3000, { min: 0, max: 65_535 }), {
    help: 'The port of the API; 0 takes any free one.',
  }),
  PUBLIC_URL: documented(httpUrl.optional(), {
    help: 'The address that clients use, put before the links in answers. Default: http://localhost:PORT.',
    example: 'https://api.example.com',
  }),
  CORS_ORIGINS: documented(origins, {
    help: 'Origins of browser apps that may call the API, exact, separated by commas.',
    example: 'https://app.example.com,https://admin.example.com',
  }),
  TRUST_PROXY: documented(networks, {
    help: 'Addresses or CIDR ranges of proxies whose X-Forwarded-* headers count, separated by commas.',
    example: '10.0.0.0/8',
  }),
  KEEP_ALIVE_TIMEOUT_MS: documented(whole(65 * SECONDS, { min: 1 * SECONDS, max: 60 * MINUTES }), {
    help: 'How long an idle connection from TRUST_PROXY is kept, in milliseconds: longer than the load balancer keeps it. Others are kept 30 seconds.',
  }),
};

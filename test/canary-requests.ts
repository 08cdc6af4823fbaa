import { newId } from '../src/core/ids.js';
import { canary } from './canaries.js';
import { rawRequest } from './raw-http.js';

/** A route of openapi.json. */
export interface ApiRoute {
  method: string;
  path: string;
  /** The fields of its JSON body, if it takes one. */
  fields: Record<string, Schema> | undefined;
}

interface Schema {
  type?: string;
  format?: string;
  enum?: unknown[];
  $ref?: string;
  properties?: Record<string, Schema>;
}

interface Document {
  paths: Record<string, Record<string, any>>;
  components: { schemas: Record<string, Schema> };
}

/** What holds something secret, by its name. */
const SECRET_FIELD = /password|token|secret|code|credential/i;
/** More than the server takes of a JSON body, and of headers. */
const TOO_LARGE = { body: 110_000, headers: 20_000 };

/** The routes of the API in a document. */
export function apiRoutes({ paths, components }: Document): ApiRoute[] {
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, { requestBody }]): ApiRoute => {
      const schema: Schema | undefined = requestBody?.content['application/json']?.schema;
      const named = schema?.$ref && components.schemas[schema.$ref.split('/').at(-1) ?? ''];
      const properties = (named || schema)?.properties;
      return { method: method.toUpperCase(), path, fields: schema && (properties ?? {}) };
    }),
  );
}

/** A body that the route takes, but for its secrets, which are wrong. */
export function likelyBody({ path, fields = {} }: ApiRoute): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fields).map(([name, schema]) => [name, likelyValue(path, name, schema)]),
  );
}

function likelyValue(path: string, name: string, schema: Schema): unknown {
  if (schema.enum) return schema.enum[0];
  if (schema.format === 'email') return `${newId()}@example.com`;
  if (schema.format === 'uuid') return newId();
  if (schema.type === 'boolean') return false;
  if (SECRET_FIELD.test(name)) return canary(`${path} ${name}`);
  return name === 'language' || name === 'locale' ? 'en' : 'Someone';
}

/** Requests with a secret wherever a client could put one, by mistake or in malice. */
export function plantedRequests(route: ApiRoute, token: string): Buffer[] {
  return [
    ...inHeaders(route, token),
    ...inTarget(route, token),
    ...(route.fields ? inBodies(route, token) : []),
  ];
}

const pathOf = ({ path }: ApiRoute) => path.replace(/\{\w+\}/g, () => newId());
const bearer = (token: string) => ({ authorization: `Bearer ${token}` });
const JSON_TYPE = { 'content-type': 'application/json' };

function inHeaders(route: ApiRoute, token: string): Buffer[] {
  const secret = canary(`header of ${route.path}`);
  const basic = Buffer.from(`someone:${secret}`).toString('base64');
  const own: Record<string, string>[] = [
    { authorization: `Bearer ${secret}` },
    { authorization: `Bearer eyJhbGciOiJIUzI1NiJ9.${secret}.${secret}` },
    { authorization: `Bearer ${token}.${secret}` },
    { authorization: `Basic ${basic}` },
    { authorization: secret },
    { authorization: `Bearer ${token}\r\nauthorization: Bearer ${secret}` },
    { authorization: `Bearer ${secret}`.padEnd(TOO_LARGE.headers, secret) },
    { 'x-admin-token': secret },
    { 'x-admin-token': `${secret}\r\nx-admin-token: ${secret}` },
    { cookie: `__Secure-atelier-refresh=${secret}; ${secret}=${secret}` },
    { cookie: `__Secure-atelier-refresh=%zz${secret}` },
  ];
  const beside: Record<string, string>[] = [
    { 'idempotency-key': secret },
    { 'idempotency-key': `"${secret}` },
    { 'x-studio-id': secret },
    { 'x-request-id': `${secret}!` },
    { 'x-forwarded-for': secret },
    { origin: `https://${secret}.example` },
    { prefer: `wait=${secret}` },
    { traceparent: secret },
    { range: `bytes=${secret}` },
    { expect: secret },
    { [secret]: secret },
    { 'x-large': secret.padEnd(TOO_LARGE.headers, secret) },
    { 'x-broken': `${secret}\u0001` },
    { 'transfer-encoding': secret },
  ];
  const body = route.fields && JSON.stringify(likelyBody(route));
  const type = body === undefined ? {} : JSON_TYPE;
  return [...own, ...beside.map((headers) => ({ ...bearer(token), ...headers }))].map((headers) =>
    rawRequest(route.method, pathOf(route), { ...type, ...headers }, body),
  );
}

function inTarget(route: ApiRoute, token: string): Buffer[] {
  const secret = canary(`address of ${route.path}`);
  const path = pathOf(route);
  const fields = ['token', 'password', 'code', 'state', 'limit', 'cursor', 'size', 'wait'];
  const query = fields.map((name) => `${name}=${secret}`).join('&');
  const targets = [
    `${path}?${query}`,
    ...fields.map((name) => `${path}?${name}=${secret}`),
    `${path}?${secret.repeat(3)}`,
    `${path}?%zz=${secret}`,
    `${path}#${secret}`,
    `${path}/${secret}`,
    `${path}%2f${secret}`,
    `${path};${secret}`,
    `${path}%zz${secret}`,
    `/${secret}${path}`,
    route.path.replace(/\{\w+\}/g, secret),
    path.replace('/api/v1', '') + `/${secret}?token=${secret}`,
    `http://someone:${secret}@x${path}?token=${secret}`,
  ];
  return targets.map((target) => rawRequest(route.method, target, bearer(token)));
}

function inBodies(route: ApiRoute, token: string): Buffer[] {
  const secret = canary(`body of ${route.path}`);
  const body = likelyBody(route);
  const wrong = Object.entries(route.fields ?? {}).flatMap(([name, { type, enum: values }]) => {
    const others: unknown[] = [[secret], { a: secret }, `${secret}\u0000`, secret.repeat(500)];
    if (values || type !== 'string') others.push(secret);
    return others.map((value) => ({ ...body, [name]: value }));
  });
  const texts = [
    ...[body, ...wrong, { ...body, extra: secret }, { ...body, extra: { a: [secret] } }].map(
      (each) => JSON.stringify(each),
    ),
    JSON.stringify(secret),
    JSON.stringify([secret]),
    secret,
    `{"password":"${secret}"`,
    `{"password":"${secret}"}}`,
    `{"password":"${secret}\u0001"}`,
    `{"password":${secret}}`,
    `{${secret}:1}`,
    `{"__proto__":{"password":"${secret}"}}`,
    `{"constructor":{"prototype":{"password":"${secret}"}}}`,
    `{"password":"${secret.padEnd(TOO_LARGE.body, secret)}"}`,
  ];
  const otherTypes: [string, string][] = [
    ['text/plain', secret],
    ['application/x-www-form-urlencoded', `password=${secret}`],
    [`application/json; charset=${secret}`, JSON.stringify(body)],
    [`application/${secret}`, JSON.stringify(body)],
    ['multipart/form-data; boundary=b', `--b\r\n${secret}\r\n\r\n${secret}\r\n--b--\r\n`],
  ];
  return [...texts.map((text) => ['application/json', text] as const), ...otherTypes].map(
    ([type, text]) =>
      rawRequest(route.method, pathOf(route), { ...bearer(token), 'content-type': type }, text),
  );
}

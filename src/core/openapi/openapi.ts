import { applyDecorators, type INestApplication, type Type } from '@nestjs/common';
// Under which Nest marks a method as a route; exported nowhere else.
import { METHOD_METADATA } from '@nestjs/common/constants.js';
import type { OpenAPIObject } from '@nestjs/swagger';
import type { StandardSchemaV1 } from '@standard-schema/spec';
import { z } from 'zod';
import { type ProblemDefinition, unauthenticated } from '../problems/problem.js';
import {
  ApiOperation,
  ApiResponse,
  Described,
  loadSwagger,
  NO_SECURITY,
} from './openapi-decorators.js';

/** The body of every error, as clients see it. */
const problemSchema = z.object({
  type: z.string().describe('`/problems/<code>`: an address that explains the problem.'),
  title: z.string(),
  status: z.int(),
  detail: z.string(),
  code: z.string().describe('The stable name to test for.'),
  errors: z
    .array(z.object({ path: z.string(), message: z.string() }))
    .optional()
    .describe('Each invalid field.'),
  requestId: z.string().optional().describe('Quote it when you report the problem.'),
});

interface Answer {
  description: string;
  /** The JSON body; left out for an answer without one. */
  schema?: StandardSchemaV1;
  /** The content type of a body that is neither JSON nor text. */
  binary?: string;
  /** The content type of a body that is text. */
  text?: string;
  /** What headers tell besides, by name. */
  headers?: Record<string, string>;
}

interface OperationOptions {
  summary: string;
  description?: string;
  /** Successes by status. */
  answers: Record<number, Answer>;
  /** What can go wrong besides what every route shares. */
  problems?: ProblemDefinition[];
}

/** Describes a route in the OpenAPI document: its summary, its successes and its errors. */
export function Operation({ summary, description, answers, problems = [] }: OperationOptions) {
  const successes = Object.entries(answers).map(([status, answer]) =>
    ApiResponse({
      status: Number(status),
      description: answer.description,
      ...(answer.headers && { headers: describeHeaders(answer.headers) }),
      ...(answer.schema && { standardSchema: answer.schema as never }),
      ...(answer.binary && {
        content: { [answer.binary]: { schema: { type: 'string', format: 'binary' } } },
      }),
      ...(answer.text && { content: { [answer.text]: { schema: { type: 'string' } } } }),
    }),
  );
  return applyDecorators(
    ApiOperation({ summary, ...(description && { description }) }),
    ...successes,
    Problems(...problems),
  );
}

/** What was told of each handler so far. */
const told = new WeakMap<object, ProblemDefinition[]>();

/**
 * Describes what can go wrong on a route, or on every route of a controller. A decorator that refuses
 * requests brings its own with it; what several of them name is told once.
 */
export function Problems(...problems: ProblemDefinition[]): MethodDecorator & ClassDecorator {
  return Described(({ ApiResponse }) => (target: object, name?: unknown, route?: Route) => {
    for (const handler of route ? [route.value] : handlersOf(target as Type)) {
      const before = told.get(handler) ?? [];
      const added = problems.filter((problem) => !before.includes(problem));
      told.set(handler, [...before, ...added]);
      for (const [status, definitions] of Map.groupBy(added, (problem) => problem.status)) {
        const describe = ApiResponse({ status, ...problemResponse(definitions) });
        describe(target, name as string, { value: handler });
      }
    }
  });
}

interface Route {
  value: object;
}

function handlersOf({ prototype }: Type): object[] {
  return Object.values(Object.getOwnPropertyDescriptors(prototype))
    .map(({ value }) => value as object)
    .filter((value) => typeof value === 'function' && Reflect.hasMetadata(METHOD_METADATA, value));
}

function describeHeaders(headers: Record<string, string>) {
  return Object.fromEntries(
    Object.entries(headers).map(([name, description]) => [
      name,
      { description, schema: { type: 'string' as const } },
    ]),
  );
}

/** The OpenAPI 3.1 document of an application. */
export async function describeApi(app: INestApplication, version: string): Promise<OpenAPIObject> {
  const { DocumentBuilder, SwaggerModule } = await loadSwagger();
  const config = new DocumentBuilder()
    .setTitle('Atelier')
    .setDescription(
      'The backend for studios that teach, create and care. Errors are RFC 9457 problem+json; ' +
        'see `/problems/<code>`.',
    )
    .setVersion(version)
    .setLicense('ISC', 'https://opensource.org/license/isc-license-txt')
    .setOpenAPIVersion('3.1.0')
    .addBearerAuth({ type: 'http', scheme: 'bearer', bearerFormat: 'JWT' }, 'bearer')
    .addApiKey(
      {
        type: 'apiKey',
        in: 'header',
        name: 'x-admin-token',
        description: 'The ADMIN_TOKEN of the operator; it may be sent as Bearer as well.',
      },
      'adminToken',
    )
    .addSecurityRequirements('bearer')
    .build();
  const document = SwaggerModule.createDocument(app, config, {
    operationIdFactory: (controller, method) =>
      `${controller.replace(/Controller$/, '').replace(/^./, (first) => first.toLowerCase())}.${method}`,
  });
  const { $schema: _, ...problem } = z.toJSONSchema(problemSchema);
  document.components = {
    ...document.components,
    schemas: { ...document.components?.schemas, Problem: problem as never },
  };
  for (const operation of operationsOf(document)) addSharedProblems(operation);
  openAnswers(document);
  return document;
}

type Operations = NonNullable<OpenAPIObject['paths'][string]['get']>;

function operationsOf(document: Pick<OpenAPIObject, 'paths'>): Operations[] {
  return Object.values(document.paths).flatMap((path) =>
    (['get', 'put', 'post', 'delete', 'patch', 'head', 'options'] as const).flatMap((method) => {
      const operation = path[method];
      return operation ? [operation] : [];
    }),
  );
}

/** Every route can fail in general ways, and every closed one refuses who is not signed in. */
function addSharedProblems(operation: Operations): void {
  const isPublic = JSON.stringify(operation.security) === JSON.stringify(NO_SECURITY);
  if (isPublic) operation.security = [];
  operation.responses = {
    ...operation.responses,
    ...(!isPublic && { 401: problemResponse([unauthenticated]) }),
    default: problemResponse([]),
  };
}

/**
 * Answers get new fields in time, and a client that checks them must let those pass. What clients
 * send stays closed: unknown fields are refused.
 */
function openAnswers({ paths, components }: OpenAPIObject): void {
  const sent = JSON.stringify(operationsOf({ paths }).map(({ requestBody }) => requestBody));
  for (const [name, schema] of Object.entries(components?.schemas ?? {})) {
    if (!sent.includes(`"#/components/schemas/${name}"`)) leaveOpen(schema);
  }
}

function leaveOpen(schema: object): void {
  if ('additionalProperties' in schema && schema.additionalProperties === false) {
    delete schema.additionalProperties;
  }
  for (const part of Object.values(schema) as unknown[]) {
    if (typeof part === 'object' && part !== null) leaveOpen(part);
  }
}

function problemResponse(definitions: ProblemDefinition[]) {
  return {
    description:
      definitions.map(({ code, title }) => `\`${code}\`: ${title}`).join('\n\n') ||
      'Any other problem',
    content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
  };
}

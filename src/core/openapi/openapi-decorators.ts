import type * as Swagger from '@nestjs/swagger';

/**
 * Nest's decorators for the OpenAPI document, applied when the document is made. The library behind
 * them is a fifth of what the API would load at its start, and few processes are ever asked for it.
 */

type Apply = (swagger: typeof Swagger) => void;

/** In the order in which the decorators ran. */
const waiting: Apply[] = [];

/** The library, with everything applied that was decorated so far. */
export async function loadSwagger(): Promise<typeof Swagger> {
  const swagger = await import('@nestjs/swagger');
  for (const apply of waiting.splice(0)) apply(swagger);
  return swagger;
}

/** Of a route, or of all routes of a controller. */
type RouteDecorator = (target: object, name?: unknown, descriptor?: unknown) => void;

/** A decorator that waits for the library. */
export function Described(
  decorator: (swagger: typeof Swagger) => MethodDecorator | ClassDecorator,
): MethodDecorator & ClassDecorator {
  return (target: object, name?: unknown, descriptor?: unknown) => {
    waiting.push((swagger) => {
      (decorator(swagger) as RouteDecorator)(target, name, descriptor);
    });
  };
}

/** Nest's Swagger module drops an empty list, so "nothing needed" is spelled out here. */
export const NO_SECURITY = [{}];

type Options<Name extends keyof typeof Swagger> = Parameters<
  Extract<(typeof Swagger)[Name], (...options: never[]) => unknown>
>;

export const ApiBody = (...options: Options<'ApiBody'>) =>
  Described((swagger) => swagger.ApiBody(...options));

export const ApiConsumes = (...types: Options<'ApiConsumes'>) =>
  Described((swagger) => swagger.ApiConsumes(...types));

export const ApiExcludeEndpoint = (...options: Options<'ApiExcludeEndpoint'>) =>
  Described((swagger) => swagger.ApiExcludeEndpoint(...options));

export const ApiHeader = (...options: Options<'ApiHeader'>) =>
  Described((swagger) => swagger.ApiHeader(...options));

export const ApiOperation = (...options: Options<'ApiOperation'>) =>
  Described((swagger) => swagger.ApiOperation(...options));

export const ApiParam = (...options: Options<'ApiParam'>) =>
  Described((swagger) => swagger.ApiParam(...options));

export const ApiQuery = (...options: Options<'ApiQuery'>) =>
  Described((swagger) => swagger.ApiQuery(...options));

export const ApiResponse = (...options: Options<'ApiResponse'>) =>
  Described((swagger) => swagger.ApiResponse(...options));

import { registerHooks } from 'node:module';

/**
 * Lets a child process of a test run the TypeScript sources as they are: Node strips the types by
 * itself, and this finds `x.ts` where the sources, as in the build, import `x.js`.
 *
 * Preload it with `--import`. What runs this way may use only erasable syntax: no enums, parameter
 * properties or decorators.
 */
registerHooks({
  resolve(specifier, context, nextResolve) {
    try {
      return nextResolve(specifier, context);
    } catch (error) {
      if (!specifier.endsWith('.js')) throw error;
      return nextResolve(specifier.replace(/js$/, 'ts'), context);
    }
  },
});

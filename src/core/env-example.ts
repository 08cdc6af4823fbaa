import { type z } from 'zod';
import { ENV_SECTIONS, envDocs, envVariables } from './env.js';

const HEADER = `# Every variable that Atelier reads, with its default. Made by \`npm run env:example\`.
# \`npm start\` needs none of them. A line that is commented out shows an example.
`;

/** The text of `.env.example`. */
export function envExample(): string {
  const sections = ENV_SECTIONS.map((section) => {
    const variables = Object.entries(envVariables).flatMap(([name, schema]) => {
      const doc = envDocs.get(schema);
      return doc?.section === section ? [describeVariable(name, schema)] : [];
    });
    return `# --- ${section} ---\n\n${variables.join('\n')}`;
  });
  return [HEADER, ...sections].join('\n');
}

function describeVariable(name: string, schema: z.ZodType): string {
  const doc = envDocs.get(schema);
  const defaultValue = schema.safeParse(undefined);
  const hasDefault = defaultValue.success && defaultValue.data !== undefined;
  const value = hasDefault ? String(defaultValue.data) : '';
  const line = value === '' ? `#${name}=${doc?.example ?? ''}` : `${name}=${value}`;
  const required = schema.safeParse(undefined).success ? '' : ' Required, but for `npm start`.';
  return `# ${doc?.help ?? ''}${required}\n${line}\n`;
}

import { z } from 'zod';
import { ENV_SECTIONS } from '../env.js';
import { envDocs } from './documented.js';

/** A variable as it is documented. */
export interface ListedVariable {
  name: string;
  /** What it is for. */
  help: string;
  /** What it may be, in words and Markdown. */
  values: string;
  /** Empty when there is none, or none that could be written down. */
  defaultValue: string;
  isRequired: boolean;
  example: string;
}

/** All variables, section by section, in the order of the schema: what the references are made from. */
export function listVariables(): { section: string; variables: ListedVariable[] }[] {
  return Object.entries(ENV_SECTIONS).map(([section, variables]) => ({
    section,
    variables: Object.entries(variables).map(([name, schema]) => list(name, schema)),
  }));
}

function list(name: string, schema: z.ZodType): ListedVariable {
  const doc = envDocs.get(schema);
  const unset = schema.safeParse(undefined);
  const hasDefault = unset.success && unset.data !== undefined;
  return {
    name,
    help: doc?.help ?? '',
    values: describeValues(schema),
    defaultValue: hasDefault ? String(unset.data) : '',
    isRequired: !unset.success,
    example: doc?.example ?? '',
  };
}

/** By the schema itself, so that no bound is written down twice. */
function describeValues(schema: z.ZodType): string {
  const given = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' });
  const { format, minLength = 0, maxLength } = given;
  if (given.description !== undefined) return given.description;
  if (given.enum) return given.enum.map((value) => `\`${String(value)}\``).join(', ');
  const { type } = z.toJSONSchema(schema, { io: 'output', unrepresentable: 'any' });
  if (type === 'boolean') return '`true`, `false`';
  if (format === 'uri') return 'a URL';
  if (maxLength !== undefined) return `${minLength} to ${maxLength} characters`;
  return minLength > 1 ? `at least ${minLength} characters` : 'text';
}

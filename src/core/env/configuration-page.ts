import { listVariables, type ListedVariable } from './listing.js';

const HEADER = `# Configuration

Every variable that Atelier reads, from [core/env.ts](../src/core/env.ts) by \`npm run env:example\`, which also makes [.env.example](../.env.example). All processes read the same variables, once, at their start; one that is missing or wrong stops the start and is named. An empty variable counts as unset. Numbers are written in decimal digits. \`npm start\` needs none of them.
`;

const COLUMNS = ['variable', 'for', 'values', 'default'];

/** The text of `docs/configuration.md`. */
export function configurationPage(): string {
  const sections = listVariables().map(
    ({ section, variables }) => `## ${section}\n\n${table([COLUMNS, ...variables.map(cells)])}`,
  );
  return [HEADER, ...sections].join('\n');
}

function cells(variable: ListedVariable): string[] {
  const { name, help, values, defaultValue, isRequired, example } = variable;
  const shown = example === '' ? values : `${values}, as in \`${example}\``;
  const unset = isRequired ? '**required**, but for `npm start`' : '';
  return [`\`${name}\``, help, shown, defaultValue === '' ? unset : `\`${defaultValue}\``];
}

/** @param rows the first one is the head */
function table(rows: string[][]): string {
  const [head = [], ...body] = rows.map((row) => row.map((cell) => cell.replaceAll('|', '\\|')));
  const widths = head.map((_, column) =>
    Math.max(...[head, ...body].map((row) => row[column]?.length ?? 0)),
  );
  const line = (row: string[]) =>
    `| ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(' | ')} |\n`;
  const rule = widths.map((width) => '-'.repeat(width));
  return [head, rule, ...body].map(line).join('');
}

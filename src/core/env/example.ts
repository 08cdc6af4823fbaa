import { listVariables, type ListedVariable } from './listing.js';

const HEADER = `# Every variable that Atelier reads, with its default. Made by \`npm run env:example\`.
# \`npm start\` needs none of them. A line that is commented out shows an example.
`;

/** The text of `.env.example`. */
export function envExample(): string {
  const sections = listVariables().map(
    ({ section, variables }) => `# --- ${section} ---\n\n${variables.map(present).join('\n')}`,
  );
  return [HEADER, ...sections].join('\n');
}

function present({ name, help, defaultValue, isRequired, example }: ListedVariable): string {
  const line = defaultValue === '' ? `#${name}=${example}` : `${name}=${defaultValue}`;
  return `# ${help}${isRequired ? ' Required, but for `npm start`.' : ''}\n${line}\n`;
}

import { readFileSync } from 'node:fs';

/**
 * Whether .dockerignore keeps a path out of a build. As in Docker the last pattern that matches
 * decides, and a pattern also means what lies below it.
 */
function ignoredByDocker(content: string): (path: string) => boolean {
  const patterns = content
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => ({ keeps: line.startsWith('!'), pattern: toPattern(line.replace(/^!/, '')) }));
  return (path) => {
    const parts = path.split('/');
    const ways = parts.map((_part, at) => parts.slice(0, at + 1).join('/'));
    const decisive = patterns.findLast(({ pattern }) => ways.some((way) => pattern.test(way)));
    return decisive !== undefined && !decisive.keeps;
  };
}

export function projectIgnored(): (path: string) => boolean {
  return ignoredByDocker(readFileSync('.dockerignore', 'utf8'));
}

/** `*` also stands for a name that begins with a dot, unlike in a shell. */
function toPattern(glob: string): RegExp {
  const source = glob
    .replaceAll(/[.+^${}()|[\]\\]/g, '\\$&')
    .replaceAll('**/', '\0')
    .replaceAll('*', '[^/]*')
    .replaceAll('\0', '(?:.*/)?');
  return new RegExp(`^${source}$`);
}

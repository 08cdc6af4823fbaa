import { DockerfileParser } from 'dockerfile-ast';

/** One instruction of a Dockerfile. */
export interface Step {
  line: number;
  keyword: string;
  flags: Record<string, string>;
  /** What follows the flags, its lines put together. */
  text: string;
  /** The same, word by word, or the members of its JSON form. */
  words: string[];
  /** Whether it is in the JSON form, which no shell reads. */
  isExec: boolean;
}

/** What begins with a FROM. */
export interface Stage {
  line: number;
  /** The name after AS. */
  name?: string;
  /** An image, or the name of an earlier stage. */
  from: string;
  steps: Step[];
}

/** A Dockerfile, stage by stage; what comes before the first FROM is left out. */
export function readDockerfile(content: string): Stage[] {
  const stages: Stage[] = [];
  for (const step of stepsOf(content)) {
    if (step.keyword === 'FROM') {
      const [from = '', as, name] = step.words;
      const isNamed = as?.toUpperCase() === 'AS';
      stages.push({ line: step.line, from, steps: [], ...(isNamed && { name }) });
    } else {
      stages.at(-1)?.steps.push(step);
    }
  }
  return stages;
}

function stepsOf(content: string): Step[] {
  return DockerfileParser.parse(content)
    .getInstructions()
    .map((instruction) => {
      const flags: Record<string, string> = {};
      if ('getFlags' in instruction) {
        const list = (instruction.getFlags as () => { getName(): string; getValue(): string }[])();
        for (const flag of list) flags[flag.getName()] = flag.getValue();
      }
      const keyword = instruction.getKeyword();
      const text = (instruction.getArgumentsContent() ?? '').trim();
      const command = keyword === 'HEALTHCHECK' ? text.replace(/^CMD\s+/i, '') : text;
      const members = jsonList(command);
      return {
        line: instruction.getRange().start.line + 1,
        keyword,
        flags,
        text,
        words: members ?? instruction.getArguments().map((word) => word.getValue()),
        isExec: members !== undefined,
      };
    });
}

function jsonList(text: string): string[] | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return Array.isArray(value) ? value.map(String) : undefined;
  } catch {
    return undefined;
  }
}

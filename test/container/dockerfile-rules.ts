import type { Stage, Step } from './dockerfile.js';

/** What a Dockerfile must not do. */
export interface DockerfileRule {
  /** The number of hadolint's rule, where it has one. */
  id: string;
  reason: string;
  /** @returns the lines that break the rule */
  broken: (stages: Stage[]) => number[];
  /** A Dockerfile that breaks this rule. */
  example: string;
}

const FROM_NODE = 'FROM node:24.21.0-slim\n';
const isNumeric = (user: string) => /^\d+(:\d+)?$/.test(user);

export const DOCKERFILE_RULES: DockerfileRule[] = [
  {
    id: 'DL3006, DL3007',
    reason: 'a base image has the tag of an exact version: another one is another product',
    broken: (stages) =>
      stages
        .filter(({ from }) => !isStage(from, stages) && !/:\d+\.\d+\.\d+(-|@|$)/.test(from))
        .map(({ line }) => line),
    example: 'FROM node:latest',
  },
  {
    id: 'DL3024',
    reason: 'two stages have two names',
    broken: (stages) =>
      stages
        .filter(({ name }, at) => name && stages.findIndex((each) => each.name === name) < at)
        .map(({ line }) => line),
    example: `${FROM_NODE.trim()} AS a\nFROM a AS a`,
  },
  {
    id: 'DL3022, DL3023',
    reason: 'COPY --from names an earlier stage, not itself and not an image from somewhere',
    broken: (stages) =>
      stages.flatMap(({ steps }, at) =>
        steps
          .filter(({ flags }) => flags['from'] !== undefined)
          .filter(({ flags }) => !isStage(flags['from'] ?? '', stages.slice(0, at)))
          .map(({ line }) => line),
      ),
    example: `${FROM_NODE}COPY --from=builder /a /b`,
  },
  everyStep('DL3020', 'ADD unpacks and downloads; COPY does what it says', {
    of: 'ADD',
    broken: () => true,
    example: 'ADD a.tar.gz /a',
  }),
  everyStep('COPY-ALL', 'what enters an image is named', {
    of: 'COPY',
    broken: ({ words, flags }) =>
      !flags['from'] && words.slice(0, -1).some((word) => /^\.?\/?$/.test(word)),
    example: 'COPY . /app',
  }),
  everyStep('DL4000', 'MAINTAINER is gone; labels tell it', {
    of: 'MAINTAINER',
    broken: () => true,
    example: 'MAINTAINER someone',
  }),
  everyStep('DL3000', 'a WORKDIR is absolute, or it depends on the base image', {
    of: 'WORKDIR',
    broken: ({ text }) => !text.startsWith('/'),
    example: 'WORKDIR app',
  }),
  everyStep('DL3004', 'sudo is for people', {
    of: 'RUN',
    broken: ({ text }) => /\bsudo\b/.test(text),
    example: 'RUN sudo rm -rf /x',
  }),
  everyStep('DL3003', 'WORKDIR says where one is; cd is forgotten at the end of the line', {
    of: 'RUN',
    broken: ({ text }) => /(^|[;&|]\s*)cd\s/.test(text),
    example: 'RUN cd /app && npm ci',
  }),
  everyStep('DL3009, DL3015', 'apt-get takes no recommendations, and leaves no lists behind', {
    of: 'RUN',
    broken: ({ text }) =>
      /\bapt(-get)?\b.*\binstall\b/.test(text) &&
      !(
        text.includes('--no-install-recommends') &&
        text.includes('-y') &&
        text.includes('rm -rf /var/lib/apt/lists/*')
      ),
    example: 'RUN apt-get update && apt-get install -y curl',
  }),
  everyStep('DL3008', 'a package of apt has a version', {
    of: 'RUN',
    broken: ({ text }) =>
      [...text.matchAll(/\bapt(?:-get)?\b[^;&|]*\binstall\b([^;&|]*)/g)].some(([, rest = '']) =>
        rest.split(/\s+/).some((word) => /^[a-z]/.test(word) && !word.includes('=')),
      ),
    example: 'RUN apt-get install -y curl',
  }),
  everyStep('DL3016', 'packages come from the lockfile alone', {
    of: 'RUN',
    broken: ({ text }) => /\b(npm (i|install|update|exec)|npx)\b/.test(text),
    example: 'RUN npm install -g something',
  }),
  everyStep('SCRIPTS', 'what strangers published is not run while the image is built', {
    of: 'RUN',
    broken: ({ text }) => text.includes('npm ci') && !text.includes('--ignore-scripts'),
    example: 'RUN npm ci',
  }),
  everyStep('DL4006', 'a pipe hides the failure of all but its last part', {
    of: 'RUN',
    broken: ({ text }) => /[^|]\|[^|]/.test(text) && !text.includes('pipefail'),
    example: 'RUN wget -O - https://example.com | sh',
  }),
  everyStep(
    'DL3025',
    'a command in JSON is not run through a shell, which would take its signals',
    {
      of: 'CMD',
      broken: ({ isExec }) => !isExec,
      example: 'CMD node main.js',
    },
  ),
  everyStep('DL3025 (entry point)', 'the same', {
    of: 'ENTRYPOINT',
    broken: ({ isExec }) => !isExec,
    example: 'ENTRYPOINT node main.js',
  }),
  everyStep('DL3025 (health)', 'the same', {
    of: 'HEALTHCHECK',
    broken: ({ isExec }) => !isExec,
    example: 'HEALTHCHECK CMD curl -f http://localhost/',
  }),
  {
    id: 'SECRETS',
    reason: 'what ENV and ARG hold can be read by everyone who has the image',
    broken: (stages) =>
      stepsOf(stages)
        .filter(({ keyword }) => keyword === 'ENV' || keyword === 'ARG')
        .filter(({ words }) => words.some((word) => /SECRET|PASSWORD|TOKEN|_KEY|_URL=/i.test(word)))
        .map(({ line }) => line),
    example: `${FROM_NODE}ENV APP_SECRET=hunter2`,
  },
  last('DL3002', 'the product is not root, and says so by number for Kubernetes to see', {
    of: 'USER',
    broken: ({ text }) => !isNumeric(text) || /^0(:|$)/.test(text),
    example: 'USER 1000:1000\nUSER root',
  }),
  last('HEALTH', 'an engine can tell whether it lives', {
    of: 'HEALTHCHECK',
    broken: ({ text }) => text === 'NONE',
    example: 'HEALTHCHECK NONE',
  }),
  last('DL4003', 'there is one command', { of: 'CMD', broken: () => false, example: '' }),
  {
    id: 'DL4003 (more)',
    reason: 'of several commands only the last counts',
    broken: (stages) =>
      stages.flatMap(({ steps }) =>
        steps
          .filter(({ keyword }) => keyword === 'CMD')
          .slice(1)
          .map(({ line }) => line),
      ),
    example: `${FROM_NODE}CMD ["node", "main.js"]\nCMD ["node", "worker.js"]`,
  },
  last('STOPSIGNAL', 'the product stops on SIGTERM', {
    of: 'STOPSIGNAL',
    broken: ({ text }) => text !== 'SIGTERM',
    example: 'STOPSIGNAL SIGKILL',
  }),
];

function stepsOf(stages: Stage[]): Step[] {
  return stages.flatMap(({ steps }) => steps);
}

function isStage(name: string, stages: Stage[]): boolean {
  return stages.some((stage) => stage.name === name);
}

interface StepRule {
  of: string;
  broken: (step: Step) => boolean;
  example: string;
}

/** A rule for each instruction of a kind. */
function everyStep(id: string, reason: string, { of, broken, example }: StepRule): DockerfileRule {
  return {
    id,
    reason,
    broken: (stages) =>
      stepsOf(stages)
        .filter((step) => step.keyword === of && broken(step))
        .map(({ line }) => line),
    example: FROM_NODE + example,
  };
}

/** A rule for the last stage, which has to have such an instruction, and for the last of them. */
function last(id: string, reason: string, { of, broken, example }: StepRule): DockerfileRule {
  return {
    id,
    reason,
    broken: (stages) => {
      const stage = stages.at(-1);
      const step = stage?.steps.findLast(({ keyword }) => keyword === of);
      if (step && !broken(step)) return [];
      return [step?.line ?? stage?.line ?? 0];
    },
    example: FROM_NODE + example,
  };
}

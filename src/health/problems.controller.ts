import { Controller, Get, Header, Param } from '@nestjs/common';
import { Operation } from '../core/openapi.js';
import {
  allProblems,
  findProblem,
  notFound,
  Problem,
  type ProblemDefinition,
} from '../core/problem.js';
import { Public } from '../core/public.js';

/** Explains, to people, the codes that errors carry: `type` of each error points here. */
@Controller('problems')
export class ProblemsController {
  @Get()
  @Public()
  @Header('content-type', 'text/html; charset=utf-8')
  @Operation({
    summary: 'List every kind of problem',
    answers: { 200: { description: 'A page for people', binary: 'text/html' } },
  })
  list(): string {
    const items = allProblems().map(
      ({ code, status, title }) =>
        `<li><a href="/problems/${code}"><code>${code}</code></a> (${status}): ${escapeHtml(title)}</li>`,
    );
    return page('Problems', `<ul>${items.join('\n')}</ul>`);
  }

  @Get(':code')
  @Public()
  @Header('content-type', 'text/html; charset=utf-8')
  @Operation({
    summary: 'Explain a problem',
    answers: { 200: { description: 'A page for people', binary: 'text/html' } },
    problems: [notFound],
  })
  explain(@Param('code') code: string): string {
    const problem = findProblem(code);
    if (!problem) throw new Problem(notFound, 'There is no problem of this code.');
    return page(problem.title, explanation(problem));
  }
}

function explanation({ code, status, help }: ProblemDefinition): string {
  return `<p><code>${code}</code>, HTTP status ${status}</p>
<p>${escapeHtml(help)}</p>
<p><a href="/problems">All problems</a></p>`;
}

function page(title: string, body: string): string {
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title)} · Atelier</title>
<link rel="stylesheet" href="/docs/page.css">
<main>
<h1>${escapeHtml(title)}</h1>
${body}
</main>
</html>
`;
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);
}

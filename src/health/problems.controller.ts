import { Controller, Get, Header, Param } from '@nestjs/common';
import { Operation } from '../core/openapi/openapi.js';
import { escapeHtml, htmlPage, PAGE_POLICY } from '../core/http/pages.js';
import {
  allProblems,
  findProblem,
  notFound,
  Problem,
  type ProblemDefinition,
} from '../core/problems/problem.js';
import { Public } from '../core/http/public.js';

/** Explains, to people, the codes that errors carry: `type` of each error points here. */
@Controller('problems')
export class ProblemsController {
  @Get()
  @Public()
  @Header('content-type', 'text/html; charset=utf-8')
  @Header('content-security-policy', PAGE_POLICY)
  @Operation({
    summary: 'List every kind of problem',
    answers: { 200: { description: 'A page for people', text: 'text/html' } },
  })
  list(): string {
    const items = allProblems().map(
      ({ code, status, title }) =>
        `<li><a href="/problems/${code}"><code>${code}</code></a> (${status}): ${escapeHtml(title)}</li>`,
    );
    return htmlPage('Problems', `<ul>${items.join('\n')}</ul>`);
  }

  @Get(':code')
  @Public()
  @Header('content-type', 'text/html; charset=utf-8')
  @Header('content-security-policy', PAGE_POLICY)
  @Operation({
    summary: 'Explain a problem',
    answers: { 200: { description: 'A page for people', text: 'text/html' } },
    problems: [notFound],
  })
  explain(@Param('code') code: string): string {
    const problem = findProblem(code);
    if (!problem) throw new Problem(notFound, 'There is no problem of this code.');
    return htmlPage(problem.title, explanation(problem));
  }
}

function explanation({ code, status, help }: ProblemDefinition): string {
  return `<p><code>${code}</code>, HTTP status ${status}</p>
<p>${escapeHtml(help)}</p>
<p><a href="/problems">All problems</a></p>`;
}

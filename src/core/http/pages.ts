/**
 * The few pages for people. What they may load comes from here alone: no inline script, no inline
 * style, nothing from elsewhere.
 */
export const PAGE_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

/** Where {@link PAGE_STYLE} is served. */
export const PAGE_STYLE_PATH = '/docs/page.css';

export const PAGE_STYLE = `:root { color-scheme: light dark; font: 1rem/1.6 system-ui, sans-serif; }
main { max-width: 42rem; margin: 3rem auto; padding: 0 1rem; }
h1 { line-height: 1.2; }
code { font-size: 0.95em; }
`;

/**
 * A whole page.
 *
 * @param body HTML; whatever comes from elsewhere must have gone through {@link escapeHtml}
 */
export function htmlPage(title: string, body: string): string {
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title)} · Atelier</title>
<link rel="stylesheet" href="${PAGE_STYLE_PATH}">
<main>
<h1>${escapeHtml(title)}</h1>
${body}
</main>
</html>
`;
}

/** For text, and for attributes in double quotes. */
export function escapeHtml(text: string): string {
  return text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);
}

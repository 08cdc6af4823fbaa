import type { ServerResponse } from 'node:http';

/** A refusal as S3 words it. @see https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html */
export class S3Error extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string = code,
  ) {
    super(message);
    this.name = 'S3Error';
  }
}

/** An element with text, or with elements. */
export function xml(name: string, ...content: string[]): string {
  return `<${name}>${content.join('')}</${name}>`;
}

export function text(value: string | number): string {
  return String(value).replace(/[&<>]/g, (character) => `&#${character.charCodeAt(0)};`);
}

export function sendXml(response: ServerResponse, status: number, document: string): void {
  const body = `<?xml version="1.0" encoding="UTF-8"?>\n${document}`;
  response.writeHead(status, {
    'content-type': 'application/xml',
    'content-length': Buffer.byteLength(body),
  });
  response.end(body);
}

/** To a HEAD there is no body, so that only the status tells. */
export function sendError(response: ServerResponse, error: S3Error): void {
  if (response.req.method === 'HEAD') {
    response.writeHead(error.status).end();
    return;
  }
  const document = xml('Error', xml('Code', error.code), xml('Message', text(error.message)));
  sendXml(response, error.status, document);
}

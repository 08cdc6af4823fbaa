import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { text } from 'node:stream/consumers';

/** A span as OTLP carries it: `opentelemetry/proto/trace/v1/trace.proto`, in JSON. */
export interface ReceivedSpan {
  traceId: string;
  spanId: string;
  parentSpanId?: string;
  name: string;
  /** 1 internal, 2 server, 3 client, 4 producer, 5 consumer. */
  kind: number;
  attributes: Record<string, unknown>;
  /** 2 is an error. */
  status: number;
  service: unknown;
}

/** A collector on loopback: it takes traces by OTLP over HTTP, or does as badly as it is told to. */
export class OtlpCollector {
  readonly spans: ReceivedSpan[] = [];
  /** Headers of the last request. */
  headers: IncomingMessage['headers'] = {};
  requests = 0;
  behaviour: 'takes' | 'fails' | 'says nothing' = 'takes';

  private constructor(
    private readonly server: Server,
    readonly url: string,
  ) {}

  static async open(): Promise<OtlpCollector> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as { port: number };
    const collector = new OtlpCollector(server, `http://127.0.0.1:${port}`);
    server.on('request', (request, response) => void collector.answer(request, response));
    return collector;
  }

  trace(traceId: string): ReceivedSpan[] {
    return this.spans.filter((span) => span.traceId === traceId);
  }

  /** Ends every connection, also those that wait for an answer. */
  hangUp(): void {
    this.server.closeAllConnections();
  }

  async close(): Promise<void> {
    this.hangUp();
    await new Promise((resolve) => this.server.close(resolve));
  }

  private async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.requests += 1;
    this.headers = request.headers;
    const body = await text(request);
    if (this.behaviour === 'says nothing') return;
    if (this.behaviour === 'fails') {
      response.writeHead(500).end();
      return;
    }
    if (request.url === '/v1/traces') this.spans.push(...spansIn(JSON.parse(body)));
    response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
  }
}

function spansIn({ resourceSpans }: { resourceSpans: any[] }): ReceivedSpan[] {
  return resourceSpans.flatMap(({ resource, scopeSpans }) =>
    scopeSpans.flatMap(({ spans }: { spans: any[] }) =>
      spans.map((span) => ({
        ...span,
        attributes: attributesOf(span.attributes),
        status: span.status?.code ?? 0,
        service: attributesOf(resource.attributes)['service.name'],
      })),
    ),
  );
}

function attributesOf(attributes: { key: string; value: object }[]): Record<string, unknown> {
  return Object.fromEntries(
    attributes.map(({ key, value }) => {
      const [type, held] = Object.entries(value)[0] ?? [];
      return [key, type === 'intValue' ? Number(held) : held];
    }),
  );
}

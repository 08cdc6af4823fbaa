import { connect, createServer, type Server, type Socket } from 'node:net';

/** Stands between the product and its database, and can be cut. */
export class TcpProxy {
  private readonly sockets = new Set<Socket>();
  private isCut = false;

  private constructor(
    private readonly server: Server,
    readonly port: number,
  ) {}

  static async to(target: { host: string; port: number }): Promise<TcpProxy> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const proxy = new TcpProxy(server, (server.address() as { port: number }).port);
    server.on('connection', (socket) => {
      proxy.join(socket, connect(target));
    });
    return proxy;
  }

  /** Stands before what a URL leads to. @returns that URL as it leads through the proxy, too */
  static async before(url: string): Promise<{ proxy: TcpProxy; url: string }> {
    const proxied = new URL(url);
    const proxy = await TcpProxy.to({ host: proxied.hostname, port: Number(proxied.port) });
    proxied.port = String(proxy.port);
    return { proxy, url: proxied.href };
  }

  /** Ends every connection and takes no new one. */
  cut(): void {
    this.isCut = true;
    for (const socket of this.sockets) socket.destroy();
  }

  /** Carries nothing any more on the connections that there are, and says so to nobody. */
  forget(): void {
    for (const socket of this.sockets) {
      socket.unpipe();
      socket.pause();
    }
  }

  mend(): void {
    this.isCut = false;
  }

  async close(): Promise<void> {
    this.cut();
    await new Promise((resolve) => this.server.close(resolve));
  }

  private join(client: Socket, target: Socket): void {
    for (const socket of [client, target]) {
      this.sockets.add(socket);
      socket.on('error', () => socket.destroy());
      socket.on('close', () => {
        this.sockets.delete(socket);
        client.destroy();
        target.destroy();
      });
    }
    if (this.isCut) client.destroy();
    else client.pipe(target).pipe(client);
  }
}

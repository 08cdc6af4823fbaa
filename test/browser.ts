interface Cookie {
  value: string;
  path: string;
}

/** What a browser does with cookies and redirects, as far as signing in needs it. */
export class Browser {
  readonly cookies = new Map<string, Cookie>();

  /** Goes to an address, and stays there when it is sent elsewhere. */
  async visit(url: string, init: RequestInit = {}): Promise<Response> {
    const headers = new Headers(init.headers);
    const cookies = [...this.cookies].filter(([, { path }]) => covers(path, new URL(url).pathname));
    if (cookies.length > 0) {
      headers.set('cookie', cookies.map(([name, { value }]) => `${name}=${value}`).join('; '));
    }
    const answer = await fetch(url, { ...init, headers, redirect: 'manual' });
    for (const line of answer.headers.getSetCookie()) this.keep(line);
    return answer;
  }

  /** Where an answer sends the browser. */
  static next(answer: Response): string {
    const location = answer.headers.get('location');
    if (location === null) throw new Error(`Nobody is sent anywhere by a ${answer.status}`);
    return location;
  }

  private keep(line: string): void {
    const [pair = '', ...attributes] = line.split(/;\s*/);
    const [name = '', value = ''] = pair.split('=');
    const [, path = '/'] = attributes.map((each) => /^path=(.*)$/i.exec(each)).find(Boolean) ?? [];
    if (attributes.some((each) => /^max-age=0$/i.test(each))) this.cookies.delete(name);
    else this.cookies.set(name, { value, path });
  }
}

/** RFC 6265 section 5.1.4. */
function covers(path: string, requested: string): boolean {
  return requested === path || requested.startsWith(path.endsWith('/') ? path : `${path}/`);
}

/** A client that keeps cookies, as a browser does. */

interface Init {
  readonly method?: string;
  readonly body?: string;
  readonly headers: Readonly<Record<string, string>>;
}

export class Browser {
  readonly url: string;
  readonly #cookies = new Map<string, string>();

  constructor(url: string) {
    this.url = url;
  }

  get cookie(): string {
    return [...this.#cookies].map(([name, value]) => `${name}=${value}`).join("; ");
  }

  async get(path: string, headers: Readonly<Record<string, string>> = {}): Promise<Response> {
    return this.#fetch(path, { headers });
  }

  async post(path: string, body: unknown = {}, headers: Readonly<Record<string, string>> = {}): Promise<Response> {
    const init = { "content-type": "application/json", ...headers };
    return this.#fetch(path, { method: "POST", body: JSON.stringify(body), headers: init });
  }

  async postText(path: string, body: string): Promise<Response> {
    return this.#fetch(path, { method: "POST", body, headers: { "content-type": "text/plain" } });
  }

  /** The same cookies, of which each goes its own way from now on. */
  copy(): Browser {
    const other = new Browser(this.url);
    for (const [name, value] of this.#cookies) other.#cookies.set(name, value);
    return other;
  }

  /** With the same cookies at another address of the application. */
  at(url: string): Browser {
    const other = new Browser(url);
    for (const [name, value] of this.#cookies) other.#cookies.set(name, value);
    return other;
  }

  async #fetch(path: string, { headers, ...init }: Init): Promise<Response> {
    const cookies = this.cookie === "" ? {} : { cookie: this.cookie };
    const response = await fetch(this.url + path, { ...init, headers: { ...cookies, ...headers } });
    for (const line of response.headers.getSetCookie()) this.#keep(line);
    return response;
  }

  #keep(line: string): void {
    const [, name = "", value = ""] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
    if (/; Max-Age=0\b/i.test(line)) this.#cookies.delete(name);
    else this.#cookies.set(name, value);
  }
}

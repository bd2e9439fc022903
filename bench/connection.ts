/**
 * One connection to a server that POSTs one body after the other, written to the socket by hand: fetch() would take
 * several times the CPU that the server does, on the cores that both share.
 */
import { once } from "node:events";
import { type Socket, connect } from "node:net";

export interface Target {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
}

export class Connection {
  readonly #socket: Socket;
  readonly #head: string;

  private constructor(socket: Socket, head: string) {
    this.#socket = socket;
    this.#head = head;
  }

  static async open({ url, headers }: Target): Promise<Connection> {
    const { hostname, port, host, pathname } = new URL(url);
    const socket = connect(Number(port), hostname).setNoDelay(true);
    await once(socket, "connect");
    const lines = Object.entries({ host, ...headers }).map(([name, value]) => `${name}: ${value}\r\n`);
    return new Connection(socket, `POST ${pathname} HTTP/1.1\r\n${lines.join("")}`);
  }

  /** Posts `body` and waits for the whole answer; gives its status. One call at a time. */
  async post(body: string): Promise<number> {
    const answer = this.#answer();
    this.#socket.write(`${this.#head}content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
    return Number((await answer).toString("latin1", 9, 12));
  }

  /** The next answer, with its head. */
  async #answer(): Promise<Buffer> {
    const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
    const parts: Buffer[] = [];
    let bytes = 0;
    let wanted: number | undefined;
    const take = (part: Buffer): void => {
      parts.push(part);
      bytes += part.length;
      wanted ??= answerBytes(Buffer.concat(parts));
      if (wanted !== undefined && bytes >= wanted) resolve(Buffer.concat(parts));
    };
    const end = (): void => reject(new Error("the connection ended before its answer"));
    this.#socket.on("data", take).on("close", end);
    try {
      return await promise;
    } finally {
      this.#socket.off("data", take).off("close", end);
    }
  }

  close(): void {
    this.#socket.destroy();
  }
}

/** The length of an answer, once its head is there. */
function answerBytes(start: Buffer): number | undefined {
  const headBytes = start.indexOf("\r\n\r\n") + 4;
  if (headBytes < 4) return undefined;
  const [, length] = /\r\ncontent-length: (\d+)\r\n/i.exec(start.toString("latin1", 0, headBytes)) ?? [];
  if (length === undefined) throw new Error("the answer does not say how long it is");
  return headBytes + Number(length);
}

/** Where requests go, and the head that each of them begins with. */

export interface Target {
  readonly host: string;
  readonly port: number;
  readonly method: "GET" | "POST";
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** A request, whole: its head and `body`. */
export function requestOf({ host, port, method, path, headers }: Target, body: Uint8Array = new Uint8Array()): Buffer {
  const length = method === "POST" ? { "content-length": String(body.length) } : {};
  const lines = Object.entries({ host: `${host}:${port}`, ...headers, ...length });
  const head = `${method} ${path} HTTP/1.1\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join("")}\r\n`;
  return Buffer.concat([Buffer.from(head, "latin1"), body]);
}

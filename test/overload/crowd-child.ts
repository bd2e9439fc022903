/** Many clients that do not behave, in a process of their own. A connection that ends is made anew. */
import { type Socket, connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import type { CrowdCount, CrowdOrder } from "./crowd.ts";

const AGAIN_MS = 100;
const TELL_MS = 50;
const REPEAT_MS = 1000;
/** Connections that are being made at one time: more would not find room in the system's own queue. */
const CONNECTING_MAX = 200;

const order = JSON.parse(process.argv[2] ?? "") as CrowdOrder;
const { port, count } = order;
const counts = { open: 0, closed: 0, bytes: 0 };

const HEAD = { idle: "", "half-open": "GET /healthz HTTP/1.1\r\nX-Slow: ", kept: request("GET", "/healthz", "") };

function request(method: string, path: string, headers: string): string {
  const authorization = order.token === undefined ? "" : `Authorization: Bearer ${order.token}\r\n`;
  return `${method} ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\n${authorization}${headers}\r\n`;
}

function behave(socket: Socket): void {
  switch (order.kind) {
    case "idle":
    case "half-open":
    case "kept":
      socket.on("data", (part) => (counts.bytes += part.length));
      socket.write(HEAD[order.kind]);
      return;
    case "unread": {
      const asking = request("GET", order.path ?? "/", "");
      socket.write(asking.repeat(order.ahead ?? 1));
      // Without a listener nothing is read, so that the end is not seen either: a write sees it.
      repeat(socket, () => void socket.write(order.ahead === undefined ? "\r\n" : asking.repeat(order.ahead)));
      return;
    }
    case "slow-body":
      socket.on("data", (part) => (counts.bytes += part.length));
      socket.write(request("POST", order.path ?? "/", "Content-Type: application/json\r\nContent-Length: 1000\r\n"));
      repeat(socket, () => void socket.write(" "));
  }
}

function repeat(socket: Socket, act: () => void): void {
  const timer = setInterval(act, REPEAT_MS);
  socket.once("close", () => clearInterval(timer));
}

/** Keeps one connection open, for ever. */
async function stay(connecting: { count: number }): Promise<never> {
  for (;;) {
    while (connecting.count >= CONNECTING_MAX) await sleep(5);
    connecting.count += 1;
    const socket = connect(port, "127.0.0.1");
    const closed = new Promise((resolve) => socket.once("close", resolve));
    socket.on("error", () => undefined);
    let isOpen = false;
    await Promise.race([
      closed,
      new Promise<void>((resolve) =>
        socket.once("connect", () => {
          isOpen = true;
          counts.open += 1;
          behave(socket);
          resolve();
        }),
      ),
    ]);
    connecting.count -= 1;
    await closed;
    if (isOpen) {
      counts.open -= 1;
      counts.closed += 1;
    }
    await sleep(AGAIN_MS);
  }
}

const connecting = { count: 0 };
for (let at = 0; at < count; at += 1) void stay(connecting);
setInterval(() => process.send?.({ ...counts } satisfies CrowdCount), TELL_MS);
process.once("disconnect", () => process.exit(0));

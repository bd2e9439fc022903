import { once } from "node:events";
import { type RequestListener, createServer } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import { type AddressInfo, type Socket, connect as connectTcp } from "node:net";
import { connect as connectTls } from "node:tls";
import { promisify } from "node:util";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { TestAuthority } from "../../../../test/support/certificates.ts";
import { type ConnectionLimits, boundConnections } from "../../src/http/connections.ts";

const MIB = 1_048_576;

interface Served {
  /** How many connections are open. */
  readonly open: () => Promise<number>;
  readonly connect: () => Promise<Socket>;
  readonly told: string[];
}

interface Limits extends Partial<ConnectionLimits> {
  readonly connectionsMax?: number;
}

const authority = new TestAuthority();
const { certificate: cert, key } = authority.issue("server");

/** A server with bounds, and what it said of them. */
async function serve(
  over: "TCP" | "TLS",
  listener: RequestListener,
  { connectionsMax = 100, ...limits }: Limits = {},
): Promise<Served> {
  const server = over === "TCP" ? createServer(listener) : createHttpsServer({ cert, key }, listener);
  server.maxConnections = connectionsMax;
  const told: string[] = [];
  const end = boundConnections(server, {
    answersBytesMax: 4 * MIB,
    onTrouble: (message) => told.push(message),
    lookMs: 10,
    ...limits,
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    end();
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return {
    told,
    open: async () => promisify(server.getConnections.bind(server))(),
    connect: async () => {
      const to = { port, host: "127.0.0.1" };
      const socket = over === "TCP" ? connectTcp(to) : connectTls({ ...to, ca: authority.certificate });
      socket.on("error", () => undefined);
      onTestFinished(() => void socket.destroy());
      await once(socket, "connect");
      return socket;
    },
  };
}

const GET = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

/** All of the body, read as it comes. */
async function bodyBytes(socket: Socket): Promise<number> {
  socket.write(GET.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n"));
  let bytes = 0;
  socket.on("data", (part: Buffer) => (bytes += part.length));
  await once(socket, "close");
  return bytes;
}

describe.each(["TCP", "TLS"] as const)("boundConnections over %s", (over) => {
  const served = async (listener: RequestListener, limits?: Limits): Promise<Served> => serve(over, listener, limits);

  test("an idle connection gives way where no more are allowed, one with a request under way does not", async () => {
    const { promise: slow, resolve } = Promise.withResolvers<void>();
    const { connect, told } = await served(
      (request, response) => void (request.url === "/slow" ? slow : Promise.resolve()).then(() => response.end("ok")),
      { connectionsMax: 2 },
    );
    const [busy, idle] = [await connect(), await connect()];
    let reply = "";
    busy.on("data", (part: Buffer) => (reply += part.toString()));
    busy.write(GET.replace("/", "/slow"));
    idle.write(GET);
    await once(idle, "data");
    const idleClosed = once(idle, "close");
    const refused = await connect();
    // Not once(): over TLS an error comes first, that there was no handshake.
    await new Promise((closed) => refused.once("close", closed));
    await idleClosed;
    expect(await bodyBytes(await connect())).toBeGreaterThan(0);
    resolve();
    await vi.waitFor(() => expect(reply).toMatch(/ok$/));
    expect(told).toEqual([expect.stringContaining("turned away")]);
  });

  test("answers that nobody takes are cut off once they are too many, those that are taken go on", async () => {
    const { connect, told, open } = await served(
      (request, response) => void response.end(Buffer.alloc(request.url === "/much" ? 16 * MIB : MIB)),
      { answersBytesMax: 40 * MIB },
    );
    // Without a listener nothing is read.
    for (let count = 0; count < 6; count += 1) (await connect()).write(GET.replace("/", "/much"));
    for (let count = 0; count < 10; count += 1) expect(await bodyBytes(await connect())).toBeGreaterThan(MIB);
    await vi.waitFor(async () => expect(await open()).toBe(2), { timeout: 10_000 });
    expect(told).toEqual([expect.stringContaining("do not take their answers")]);
  });

  test("answers count while they wait for those before them on one connection", async () => {
    const pending: (() => void)[] = [];
    const { connect } = await served((request, response) => {
      if (request.url === "/first") pending.push(() => response.end());
      else response.end(Buffer.alloc(MIB));
    });
    const socket = await connect();
    socket.write(GET.replace("/", "/first") + GET.repeat(6));
    await once(socket, "close");
    expect(pending.length).toBe(1);
  });

  test("whoever sends more requests ahead than are allowed is cut off", async () => {
    let asked = 0;
    const { connect, told } = await served(() => void (asked += 1));
    const socket = await connect();
    socket.write(GET.repeat(600));
    await once(socket, "close");
    expect(asked).toBeLessThan(20);
    expect(told).toEqual([expect.stringContaining("ahead")]);
  });

  test("one request after the other on one connection is never too many", async () => {
    const { connect, told } = await served((_, response) => void response.end("ok"));
    const socket = await connect();
    for (let count = 0; count < 100; count += 1) {
      socket.write(GET);
      await once(socket, "data");
    }
    expect(socket.destroyed).toBe(false);
    expect(told).toEqual([]);
  });
});

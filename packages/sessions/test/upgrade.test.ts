/** Handshakes of WebSockets: what their answer cannot take to the browser, and clients that go away. */
import { once } from "node:events";
import { type Server, createServer } from "node:http";
import { type AddressInfo, type Socket, connect } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { createMemorySessionStore } from "@tallystick/sessions";
import { type GuardOptions, guardUpgrade } from "@tallystick/sessions/hono";
import { USUAL } from "./support/policies.ts";
import { type Scene, scene } from "./support/setup.ts";

interface Upgrades {
  readonly server: Server;
  /** The session that each handshake gave, or nothing. */
  readonly given: (string | undefined)[];
}

async function upgrades({ sessions }: Pick<Scene, "sessions">, options: GuardOptions = {}): Promise<Upgrades> {
  const given: (string | undefined)[] = [];
  const guarded = guardUpgrade(sessions, options);
  const server = createServer();
  server.on("upgrade", (request, socket) => {
    void guarded(request, socket).then((session) => {
      given.push(session?.id);
      if (session !== undefined) socket.write("HTTP/1.1 101 Switching Protocols\r\n\r\n");
      server.emit("given");
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  return { server, given };
}

function handshake(server: Server, token: string): Socket {
  const { port } = server.address() as AddressInfo;
  const socket = connect(port, "127.0.0.1");
  socket.on("error", () => undefined);
  const lines = ["GET / HTTP/1.1", "host: x", "connection: upgrade", "upgrade: websocket", `cookie: session=${token}`];
  socket.write(`${lines.join("\r\n")}\r\n\r\n`);
  return socket;
}

test("S9 a handshake into a class replaces no token, as it cannot give the new one", async () => {
  const set = scene();
  const { server, given } = await upgrades(set, { class: "high" });
  const { token, session } = await set.sessions.start({ user: "u1" });
  const socket = handshake(server, token);
  await once(socket, "data");
  set.pass(20_000);
  const checked = await set.sessions.check(token);
  expect([given, checked.kind, checked.session?.class]).toEqual([[session.id], "ok", "high"]);
  socket.destroy();
});

test("S16 a client that went away during the handshake is not looked after", async () => {
  const store = createMemorySessionStore();
  const [asked, goOn] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  let isSlow = false;
  const get = store.get.bind(store);
  store.get = async (key) => {
    if (isSlow) asked.resolve();
    if (isSlow) await goOn.promise;
    return get(key);
  };
  const set = scene({ ...USUAL, store });
  const { server, given } = await upgrades(set);
  const { token } = await set.sessions.start({ user: "u1" });
  isSlow = true;
  const gone = new Promise((resolve) => {
    server.once("connection", (connection) => void connection.once("close", resolve));
  });
  const socket = handshake(server, token);
  await asked.promise;
  socket.resetAndDestroy();
  await gone;
  const done = once(server, "given");
  goOn.resolve();
  await done;
  expect(given).toEqual([undefined]);
});

/** An instance of an application, as a process: does to its sessions what its parent asks, over a store that others have open. */
import { appendFileSync } from "node:fs";
import { type SessionStore, type Sessions, createSessions } from "@tallystick/sessions";
import type { Answer, Call, Place, StorePlace } from "./instance.ts";

/** What the store's clock shows, as the parent says; 0: the machine's. */
let storeNow = 0;
const machineNow = Date.now.bind(Date);

let opened: { readonly sessions: Sessions; readonly store: SessionStore } | undefined;

async function open({ store: place, log, limits, clockOffsetMs }: Place): Promise<void> {
  await close();
  // The application's own clock may be wrong by as much as it likes.
  Date.now = () => machineNow() + clockOffsetMs;
  storeNow = 0;
  const store = await openStore(place);
  const recorder = {
    // One line each, and appended at once: whatever was recorded before a kill is there after it.
    record: async (event: object): Promise<void> => appendFileSync(log, `${JSON.stringify(event)}\n`),
  };
  opened = { store, sessions: createSessions(recorder, { ...limits, sweepIntervalMs: 0, store }) };
}

async function openStore(place: StorePlace): Promise<SessionStore> {
  if (place.kind === "sqlite") {
    const { openSqliteSessionStore } = await import("@tallystick/sessions/sqlite");
    return openSqliteSessionStore(place.path, { now: () => (storeNow === 0 ? machineNow() : storeNow) });
  }
  const { store, end } = place.kind === "redis" ? await openRedis(place) : await openPostgres(place);
  return {
    // The server's own, unless the test lets hours pass.
    now: async () => (storeNow === 0 ? store.now() : storeNow),
    get: async (key) => store.get(key),
    put: async (key, value, version, deadline) => store.put(key, value, version, deadline),
    due: async (before, limit) => store.due(before, limit),
    close: async () => {
      await store.close();
      await end();
    },
  };
}

interface Remote {
  readonly store: SessionStore;
  readonly end: () => Promise<void>;
}

async function openPostgres({ kind, ...database }: StorePlace & { kind: "postgres" | "better-auth" }): Promise<Remote> {
  const { poolTo } = await import("./postgres-pool.ts");
  const pool = poolTo(database);
  const end = async (): Promise<void> => pool.end();
  if (kind === "postgres") {
    const { openPostgresSessionStore } = await import("@tallystick/sessions/postgres");
    return { store: await openPostgresSessionStore(pool), end };
  }
  const { openBetterAuthStore } = await import("./better-auth-store.ts");
  return { store: await openBetterAuthStore(pool), end };
}

async function openRedis({ socket, prefix }: StorePlace & { kind: "redis" }): Promise<Remote> {
  const [{ createClient }, { createRedisSessionStore }] = await Promise.all([
    import("@redis/client"),
    import("@tallystick/sessions/redis"),
  ]);
  const client = createClient({ socket: { path: socket, tls: false } });
  client.on("error", () => undefined);
  await client.connect();
  return { store: createRedisSessionStore(client, { prefix }), end: async () => client.destroy() };
}

async function close(): Promise<void> {
  await opened?.sessions.close();
  await opened?.store.close();
  opened = undefined;
}

async function perform(call: Call): Promise<unknown> {
  if (call.method === "open") return open(...call.args);
  if (call.method === "close") return close();
  if (opened === undefined) throw new Error("expected open first");
  const { sessions, store } = opened;
  switch (call.method) {
    case "start":
      return sessions.start(...call.args);
    case "check":
      return sessions.check(...call.args);
    case "extend":
      return sessions.extend(...call.args);
    case "end":
      return sessions.end(...call.args);
    case "endAll":
      return sessions.endAll(...call.args);
    case "now":
      return store.now();
    case "list":
      return sessions.list(...call.args);
    case "sweep":
      return sessions.sweep();
    case "flush":
      break;
  }
  return sessions.flush();
}

process.on("message", (call: Call) => {
  storeNow = call.now ?? storeNow;
  const send = (answer: Answer): void => {
    process.send?.(answer);
  };
  perform(call).then(
    (value) => send({ id: call.id, value }),
    (error: unknown) => send({ id: call.id, error: error instanceof Error ? error.message : String(error) }),
  );
});
process.on("disconnect", () => process.exit());

/** What the guard adds to a request: `check()` on the memory store, over a thousand sessions, with a log that takes all. */
import { IncomingMessage, ServerResponse } from "node:http";
import { Socket } from "node:net";
import { createMemorySessionStore, createSessions } from "@tallystick/sessions";
import { guard } from "@tallystick/sessions/express";

const SESSIONS = 1000;
const WARM_UP = 5000;
const CALLS = 50_000;
const socket = new Socket();

/** Runs the benchmarks and prints a row for each. */
export async function run(): Promise<void> {
  let now = Date.now();
  const store = createMemorySessionStore({ now: () => now, allowInProduction: true });
  const recorder = { record: async (): Promise<void> => undefined };
  await using sessions = createSessions(recorder, { idle: "30m", absolute: "30d", store, sweepIntervalMs: 0 });
  const tokens: string[] = [];
  for (let at = 0; at < SESSIONS; at += 1) {
    tokens.push((await sessions.start({ user: `u${at}`, factors: ["password"] })).token);
  }
  await sessions.flush();

  let turn = 0;
  const next = (): string => tokens[(turn += 1) % SESSIONS] ?? "";
  const source = { ip: "192.0.2.7" };
  const guarded = guard(sessions);
  const calls: Readonly<Record<string, () => Promise<unknown>>> = {
    "check, in the background": async () => sessions.check(next(), { activity: false, source }),
    "check, as activity": async () => {
      now += 1;
      return sessions.check(next(), { source });
    },
    "check, with a step-up asked for": async () =>
      sessions.check(next(), { activity: false, reauth: { maxAge: "30d" }, source }),
    "guard, of a whole request": async () => {
      now += 1;
      const { request, response } = exchange(`session=${next()}`);
      await new Promise((resolve) => guarded(request, response, resolve));
      response.emit("close");
    },
    "the request alone, without a guard": async () => exchange(`session=${next()}`),
    "check, of a stranger": async () => sessions.check("nobody", { source }),
  };
  for (const [name, call] of Object.entries(calls)) {
    await timed(WARM_UP, call);
    const { cpuUs, wallUs } = await timed(CALLS, call);
    const figures = `${cpuUs.toFixed(1).padStart(6)} µs of CPU, ${wallUs.toFixed(1).padStart(6)} µs in all`;
    process.stdout.write(`${name.padEnd(34)} ${figures}\n`);
  }
}

/** A request and its answer, as node:http makes them, on a socket that leads nowhere. */
function exchange(cookie: string): { request: IncomingMessage; response: ServerResponse } {
  const request = new IncomingMessage(socket);
  Object.assign(request.headers, { cookie, "user-agent": "Mozilla/5.0 (X11; Linux x86_64)", host: "app.example" });
  request.method = "GET";
  request.url = "/app/notes?page=2";
  return { request, response: new ServerResponse(request) };
}

/** Per call: the processor's time, which no neighbour on the machine changes much, and the clock's. */
async function timed(calls: number, call: () => Promise<unknown>): Promise<{ cpuUs: number; wallUs: number }> {
  const [startMs, before] = [performance.now(), process.cpuUsage()];
  for (let done = 0; done < calls; done += 1) await call();
  const { user, system } = process.cpuUsage(before);
  return { cpuUs: (user + system) / calls, wallUs: ((performance.now() - startMs) * 1000) / calls };
}

await run();

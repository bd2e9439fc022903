/**
 * What the guard adds to a request, on the memory store, over a thousand sessions, with a log that takes all: of `check()` and
 * the guard alone, and of whole requests over HTTP, with and without the guard in turns.
 */
import { once } from "node:events";
import { Agent, IncomingMessage, ServerResponse, get } from "node:http";
import { Socket } from "node:net";
import { type Sessions, type SessionsOptions, createMemorySessionStore, createSessions } from "@tallystick/sessions";
import { guard } from "@tallystick/sessions/express";
import { median } from "./load/latencies.ts";
import { FRAMEWORKS } from "../packages/sessions/test/support/web-app.ts";

const LIMITS: SessionsOptions = { idle: "30m", absolute: "30d", classes: { high: {} } };
const SESSIONS = 1000;
const WARM_UP = 5000;
const CALLS = 50_000;
/** Over HTTP: so many with the guard, then as many without, so often. */
const REQUESTS = 500;
const ROUNDS = 21;
const socket = new Socket();

/** Runs the benchmarks and prints a row for each. */
export async function run(): Promise<void> {
  let now = Date.now();
  const store = createMemorySessionStore({ now: () => now, allowInProduction: true });
  const recorder = { record: async (): Promise<void> => undefined };
  await using sessions = createSessions(recorder, { ...LIMITS, store, sweepIntervalMs: 0 });
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
  for (const name of Object.keys(FRAMEWORKS)) {
    const { bare, guarded: whole } = await overHttp(name, sessions, () => {
      now += 1;
      return next();
    });
    const figures = `${bare.toFixed(1)} µs of CPU without, ${whole.toFixed(1)} with: ${(whole - bare).toFixed(1)} more`;
    process.stdout.write(
      `${`${name}, a request and its answer`.padEnd(34)} ${figures}, ${(whole / bare).toFixed(2)}:1\n`,
    );
  }
}

/** The processor's time of a request, its client's among it: the median round of those with the guard, and of those without. */
async function overHttp(
  framework: string,
  sessions: Sessions,
  next: () => string,
): Promise<{ readonly bare: number; readonly guarded: number }> {
  const log = { record: unused, audit: unused };
  const app = await FRAMEWORKS[framework]?.({ sessions, log });
  if (app === undefined) throw new TypeError(`expected a framework, got ${framework}`);
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const ask = async (path: string): Promise<void> => {
    const [response] = (await once(
      get(app.url + path, { agent, headers: { cookie: `session=${next()}` } }),
      "response",
    )) as [IncomingMessage];
    if (response.statusCode !== 200) throw new Error(`${path}: expected 200, got ${response.statusCode}`);
    response.resume();
    await once(response, "end");
  };
  const paths = { bare: "/open", guarded: "/app/cached" } as const;
  const figures: { readonly [Path in keyof typeof paths]: number[] } = { bare: [], guarded: [] };
  for (let round = 0; round <= ROUNDS; round += 1) {
    for (const path of ["bare", "guarded"] as const) {
      const { cpuUs } = await timed(REQUESTS, async () => ask(paths[path]));
      // The first round is to warm up.
      if (round > 0) figures[path].push(cpuUs);
    }
  }
  agent.destroy();
  await app.close();
  return { bare: median(figures.bare), guarded: median(figures.guarded) };
}

/** No route that is measured reports anything of its own. */
async function unused(): Promise<never> {
  throw new Error("expected nothing to be reported");
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

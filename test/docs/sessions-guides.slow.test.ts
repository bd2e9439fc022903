/** The applications of the guides for sessions: checked as strictly as can be, run as they stand, and held to what they promise. */
import { type ChildProcess, spawnSync, fork } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdir, readFile, symlink, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Browser } from "../../packages/sessions/test/support/browser.ts";
import { removeFolder, temporaryFolder } from "../support/processes.ts";

const ROOT = resolve(import.meta.dirname, "../..");
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
/** 2026-01-31, some time. */
const T0 = 1_769_850_000_000;
const LIBRARIES = [
  "hono",
  "express",
  "fastify",
  "ws",
  "@hono/node-server",
  "@types/express",
  "@types/ws",
  "@types/node",
];

/** Hono's middleware can be chained; with Express sessions lie in a file, which is two lines more. */
const LINES_MAX: Readonly<Record<string, number>> = { hono: 15, express: 20, fastify: 18 };

/** The same limits as the page's, over its store, the clock of which the test sets. */
const tallyUnderTest = (store: string): string => `
import { createTestTallystick } from "@tallystick/testing";
import { createMemorySessionStore, createSessions } from "@tallystick/sessions";
import { openSqliteSessionStore } from "@tallystick/sessions/sqlite";

let now = Number(process.env["NOW"]);
export const tally = createTestTallystick();
const store = ${store};
export const sessions = createSessions(tally, { idle: "30m", absolute: "8h", store, sweepIntervalMs: 50 });
process.on("message", async (message: { now?: number }) => {
  now = message.now ?? now;
  await sessions.flush();
  process.send?.({ events: tally.events });
});
process.on("disconnect", () => process.exit());
`;

interface Event {
  readonly type: string;
  readonly reason?: string;
  readonly session?: { readonly id: string };
  readonly context?: Readonly<Record<string, unknown>>;
}

const MEMORY = "createMemorySessionStore({ now: () => now })";
const SQLITE = 'await openSqliteSessionStore("sessions.sqlite", { now: () => now })';

/** The blocks of a page that begin with a file's name. */
async function blocksOf(page: string): Promise<ReadonlyMap<string, string>> {
  const text = await readFile(join(ROOT, page), "utf8");
  const blocks = [...text.matchAll(/```ts\n\/\/ (\S+\.ts)\n([\s\S]*?)```/g)];
  return new Map(blocks.map(([, name = "", code = ""]) => [name, code]));
}

/** A folder as an application's, with these libraries installed. */
async function installed(place: string): Promise<void> {
  await mkdir(join(place, "node_modules"), { recursive: true });
  await symlink(join(ROOT, "node_modules/@tallystick"), join(place, "node_modules/@tallystick"));
  for (const name of LIBRARIES) {
    const own = join(ROOT, "packages/sessions/node_modules", name);
    await mkdir(join(place, "node_modules", name, ".."), { recursive: true });
    await symlink(existsSync(own) ? own : join(ROOT, "node_modules", name), join(place, "node_modules", name));
  }
  await writeFile(join(place, "package.json"), '{"type":"module"}');
}

function typeErrors(place: string): string {
  const tsc = spawnSync(join(ROOT, "node_modules/.bin/tsc"), ["-p", place], { encoding: "utf8" });
  return tsc.stdout;
}

const compilerOptions = {
  strict: true,
  exactOptionalPropertyTypes: true,
  noUncheckedIndexedAccess: true,
  target: "ES2024",
  lib: ["ES2024", "ESNext.Disposable"],
  module: "NodeNext",
  types: ["node"],
  customConditions: ["ws-source"],
  allowImportingTsExtensions: true,
  skipLibCheck: true,
  noEmit: true,
};

function codeLines(code: string): string[] {
  return code
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "");
}

describe.each(["hono", "express", "fastify"])("docs/guides/sessions-%s.md", (framework) => {
  let place: string;
  let blocks: ReadonlyMap<string, string>;
  let child: ChildProcess | undefined;
  let url: string;

  beforeAll(async () => {
    place = await temporaryFolder();
    blocks = await blocksOf(`docs/guides/sessions-${framework}.md`);
    await installed(place);
    for (const [name, code] of blocks) await writeFile(join(place, name), code);
    await writeFile(join(place, "tsconfig.json"), JSON.stringify({ compilerOptions, files: [...blocks.keys()] }));
  });

  afterAll(async () => {
    child?.disconnect();
    await removeFolder(place);
  });

  async function start(afterMs = 0): Promise<void> {
    const env = { ...process.env, PORT: "0", NODE_ENV: "test", NOW: `${T0 + afterMs}` };
    child = fork(join(place, "main.ts"), { cwd: place, execArgv: ["--conditions=ws-source"], env, silent: true });
    const [line] = (await once(child.stdout ?? process.stdin, "data")) as [Buffer];
    url = `http://localhost:${/port (\d+)/.exec(line.toString())?.[1] ?? ""}`;
  }

  /** Sets the clock, and gives what the log has. */
  async function at(afterMs: number): Promise<readonly Event[]> {
    const answer = once(child ?? process, "message") as Promise<[{ events: Event[] }]>;
    child?.send({ now: T0 + afterMs });
    return (await answer)[0].events;
  }

  async function signedIn(): Promise<Browser> {
    const browser = new Browser(url);
    expect((await browser.post("/login", { user: "ann", password: "wrong" })).status).toBe(401);
    expect(browser.cookie).toBe("");
    expect((await browser.post("/login", { user: "ann", password: "correct horse" })).status).toBe(200);
    return browser;
  }

  async function codeOf(response: Response): Promise<unknown> {
    const { code, reason } = (await response.json()) as { code: string; reason?: string };
    return [response.status, code, reason];
  }

  test("has no type error, strictly", { timeout: 60_000 }, () => {
    expect(typeErrors(place)).toBe("");
  });

  test("adds a few lines to a plain application: with Hono fifteen, no more", () => {
    const plain = codeLines(blocks.get("plain.ts") ?? "");
    const lines = codeLines(`${blocks.get("tally.ts") ?? ""}${blocks.get("app.ts") ?? ""}`);
    expect(plain.length).toBeGreaterThan(8);
    // Each line of the plain application stands for one of the other.
    const added = plain.reduce(
      (left, line) => (left.includes(line) ? left.toSpliced(left.indexOf(line), 1) : left),
      lines,
    );
    expect(added.length).toBeGreaterThan(8);
    expect(added.slice(LINES_MAX[framework])).toEqual([]);
    expect(blocks.get("tally.ts")).toMatch(/\{ idle: "30m", absolute: "8h"(, store)? \}/);
  });

  test("starts", { timeout: 60_000 }, async () => {
    const isInFile = blocks.get("tally.ts")?.includes('await openSqliteSessionStore("sessions.sqlite")');
    expect(isInFile).toBe(framework === "express");
    await writeFile(join(place, "tally.ts"), tallyUnderTest(isInFile === true ? SQLITE : MEMORY));
    await start();
    expect((await new Browser(url).get("/app/notes")).status).toBe(401);
  });

  test("S1 refuses a request at the idle deadline", async () => {
    await at(0);
    const browser = await signedIn();
    await at(30 * MINUTE - 1);
    expect(await (await browser.get("/app/notes")).text()).toBe("your notes");
    await at(60 * MINUTE - 1);
    expect(await codeOf(await browser.get("/app/notes"))).toEqual([401, "session-expired", "idle"]);
  });

  test("S2 refuses a request at the absolute deadline, whatever happened", async () => {
    await at(10 * HOUR);
    const browser = await signedIn();
    for (let minutes = 20; minutes < 480; minutes += 20) {
      await at(10 * HOUR + minutes * MINUTE);
      expect((await browser.get("/app/notes")).status).toBe(200);
    }
    await at(18 * HOUR);
    expect(await codeOf(await browser.get("/app/notes"))).toEqual([401, "session-expired", "absolute"]);
  });

  test("S5 warns a minute before, and logs that the browser showed it", async () => {
    await at(20 * HOUR);
    const browser = await signedIn();
    await at(20 * HOUR + 29 * MINUTE);
    const status = await browser.get("/session");
    expect(await status.json()).toMatchObject({ warning: { remainingSeconds: 60, extendable: true } });
    expect((await browser.post("/session/warned")).status).toBe(200);
    const warnings = (await at(20 * HOUR + 29 * MINUTE)).filter(({ type }) => type === "session.warning");
    expect(warnings.map(({ context }) => context?.["confirmed"])).toEqual([true]);
  });

  test("S8 asks for the password again before the account is deleted", async () => {
    await at(30 * HOUR);
    const browser = await signedIn();
    await at(30 * HOUR + 6 * MINUTE);
    const remove = async (): Promise<Response> =>
      fetch(`${url}/app/account`, { method: "DELETE", headers: { cookie: browser.cookie } });
    const confirm = async (password: string): Promise<number> =>
      (await browser.postText("/app/confirm", password)).status;
    expect(await codeOf(await remove())).toEqual([401, "reauth-required", undefined]);
    expect(await confirm("wrong")).toBe(403);
    expect((await remove()).status).toBe(401);
    const before = browser.cookie;
    expect(await confirm("correct horse")).toBe(204);
    expect(browser.cookie).not.toBe(before);
    expect(await (await remove()).text()).toBe("deleted");
    const types = (await at(30 * HOUR + 6 * MINUTE)).map(({ type }) => type);
    expect(types).toEqual(expect.arrayContaining(["access.denied", "session.reauth", "session.rotate"]));
  });

  test("S10 logs an end that nobody asks about", { timeout: 30_000 }, async () => {
    await at(40 * HOUR);
    await signedIn();
    const started = (await at(40 * HOUR)).findLast(({ type }) => type === "session.start");
    const ends = async (): Promise<unknown[]> =>
      (await at(40 * HOUR + 30 * MINUTE))
        .filter(({ type, session }) => type === "session.timeout" && session?.id === started?.session?.id)
        .map(({ reason, context }) => [reason, context?.["detectedBy"]]);
    await expect.poll(ends, { timeout: 20_000, interval: 100 }).toEqual([["idle", "sweep"]]);
  });

  test.runIf(framework === "express")(
    "S17 sessions in a file outlive a process that is killed, and their deadlines do not move",
    { timeout: 60_000 },
    async () => {
      await at(50 * HOUR);
      const { cookie } = await signedIn();
      const gone = once(child ?? process, "exit");
      child?.kill("SIGKILL");
      await gone;
      await start(50 * HOUR);
      const notes = async (): Promise<Response> => fetch(`${url}/app/notes`, { headers: { cookie } });
      await at(50 * HOUR + 30 * MINUTE - 1);
      expect(await (await notes()).text()).toBe("your notes");
      await at(51 * HOUR - 1);
      expect(await codeOf(await notes())).toEqual([401, "session-expired", "idle"]);
    },
  );
});

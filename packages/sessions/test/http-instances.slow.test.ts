/** Several instances of one application, and one that is killed: with Hono, Express and Fastify. */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { openSqliteSessionStore } from "@tallystick/sessions/sqlite";
import { temporaryFolder } from "../../../test/support/temporary-folder.ts";
import { Browser } from "./support/browser.ts";
import { MINUTE, T0 } from "./support/policies.ts";
import { FRAMEWORKS } from "./support/web-app.ts";
import { type WebScene, refusalOf, remainingOf, webScene } from "./support/web-scene.ts";

const CHILD = new URL("support/web-child.ts", import.meta.url).pathname;
const BACKGROUND = { "tallystick-activity": "background" };

interface RunningChild {
  readonly child: ChildProcess;
  readonly url: string;
}

function spawnChild(args: readonly string[], env: NodeJS.ProcessEnv = {}): ChildProcess {
  return fork(CHILD, args, {
    execArgv: ["--conditions=ws-source"],
    env: { ...process.env, NODE_ENV: "test", ...env },
    stdio: ["ignore", "ignore", "pipe", "ipc"],
  });
}

async function startChild(framework: string, path: string, now: number): Promise<RunningChild> {
  const child = spawnChild([framework, path, String(now)]);
  const [message] = (await once(child, "message")) as [{ url: string }];
  return { child, url: message.url };
}

async function setClock({ child }: RunningChild, now: number): Promise<void> {
  const answer = once(child, "message");
  child.send(now);
  await answer;
}

async function kill({ child }: RunningChild): Promise<void> {
  const exited = once(child, "exit");
  child.kill("SIGKILL");
  await exited;
}

async function answerOf(response: Response): Promise<unknown> {
  return response.status === 401 ? refusalOf(response) : [response.status, remainingOf(response)];
}

/** The same story, each step at whichever instance has its turn. */
async function story(scenes: readonly WebScene[], setNow: (now: number) => void): Promise<unknown[]> {
  const answers: unknown[] = [];
  let turn = 0;
  const anywhere = (browser: Browser): Browser => browser.at(scenes[(turn += 1) % scenes.length]?.app.url ?? "");
  setNow(T0);
  let browser = anywhere(new Browser(""));
  await browser.post("/login", { user: "u1" });
  const other = anywhere(new Browser(""));
  await other.post("/login", { user: "u1" });
  const ask = async (path: string): Promise<void> => {
    browser = anywhere(browser);
    answers.push(await answerOf(await browser.get(path)));
  };
  for (let minute = 4; minute <= 12; minute += 4) {
    setNow(T0 + minute * MINUTE);
    await ask("/app/hello");
  }
  await ask("/app/high");
  setNow(T0 + 14 * MINUTE);
  for (let times = 0; times < 5; times += 1) await ask("/app/hello");
  for (let times = 0; times < 3; times += 1) {
    answers.push(await answerOf(await anywhere(other).get("/app/hello")));
  }
  await anywhere(browser).post("/session/end");
  for (let times = 0; times < 5; times += 1) await ask("/app/hello");
  return answers;
}

describe.each(Object.keys(FRAMEWORKS))("%s", (framework) => {
  test("S17 a kill -9 changes no deadline", { timeout: 60_000 }, async () => {
    const path = join(temporaryFolder(), "sessions.db");
    const first = await startChild(framework, path, T0);
    const browser = new Browser(first.url);
    expect((await browser.post("/login", { user: "u1" })).status).toBe(200);
    await setClock(first, T0 + 5 * MINUTE);
    expect(remainingOf(await browser.get("/app/hello"))).toBe(600);
    await kill(first);
    const second = await startChild(framework, path, T0 + 15 * MINUTE - 1000);
    const again = browser.at(second.url);
    expect(remainingOf(await again.get("/app/hello", BACKGROUND))).toBe(1);
    await setClock(second, T0 + 15 * MINUTE);
    const expired = { status: 401, code: "session-expired", reason: "idle" };
    expect(await refusalOf(await again.get("/app/hello"))).toEqual(expired);
    await kill(second);
  });

  test("S17 in production the application does not start on the memory store", { timeout: 60_000 }, async () => {
    const child = spawnChild([framework], { NODE_ENV: "production" });
    let text = "";
    child.stderr?.on("data", (bytes: Buffer) => (text += bytes.toString()));
    const [code] = (await once(child, "close")) as [number];
    expect(code).toBe(1);
    expect(text).toContain("store: expected one that outlives the process, as NODE_ENV is production");
  });

  test("S18 five instances over one store give the verdicts of one", { timeout: 60_000 }, async () => {
    const byInstances: unknown[][] = [];
    for (const count of [1, 5]) {
      let now = T0;
      const path = join(temporaryFolder(), "sessions.db");
      const stores = await Promise.all(
        Array.from({ length: count }, async () => openSqliteSessionStore(path, { now: () => now })),
      );
      const scenes = await Promise.all(stores.map(async (store) => webScene(framework, { store })));
      byInstances.push(
        await story(scenes, (to) => {
          now = to;
        }),
      );
      for (const scene of scenes) await scene[Symbol.asyncDispose]();
      for (const store of stores) await store.close();
    }
    const [ofOne, ofFive] = byInstances;
    expect(ofOne).toHaveLength(17);
    expect(ofOne?.slice(0, 4)).toEqual([
      [200, 600],
      [200, 600],
      [200, 600],
      [200, 300],
    ]);
    expect(ofFive).toEqual(ofOne);
  });
});

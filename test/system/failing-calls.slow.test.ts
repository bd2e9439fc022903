/**
 * A log whose calls to the system fail, or are the last thing it does: what it acknowledged is there after the next
 * start, each index once. strace puts the faults in, so the whole server is as it is shipped.
 */
import { type ChildProcess, spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { setTimeout } from "node:timers/promises";
import { newEventId } from "@tallystick/events";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { exitOf, removeFolder, runCommand, startCommand } from "../support/processes.ts";
import { type SmallLog, createSmallLog } from "../support/small-log.ts";

/** Which call, what comes of it, and which one of them; `5+` is each from the fifth on. The first fall into the start. */
const FAULTS: readonly (readonly [call: string, fault: string, when: string])[] = [
  ["fdatasync", "signal=KILL", "3"],
  ["fdatasync", "signal=KILL", "8"],
  ["fsync", "signal=KILL", "6"],
  ["fsync", "signal=KILL", "11"],
  ["rename", "signal=KILL", "4"],
  ["rename", "signal=KILL", "7"],
  ["fdatasync", "error=EIO", "6+"],
  ["fsync", "error=EIO", "7+"],
  ["rename", "error=EROFS", "5+"],
];
/** Each round comes to its fault long before. */
const ROUND_MS = 20_000;

/** -D: the server stays our own child. One thread: calls are counted by thread. --seccomp-bpf would lose the signals. */
const strace = (call: string, fault: string, when: string): readonly string[] =>
  `strace -D -f -o /dev/null -e trace=${call} -e inject=${call}:${fault}:when=${when} env UV_THREADPOOL_SIZE=1`.split(
    " ",
  );
const canTrace = spawnSync("strace", ["-f", "-o", "/dev/null", "-e", "trace=fsync", "true"]).status === 0;

describe.skipIf(!canTrace)("a log whose calls fail (strace is needed)", () => {
  let log: SmallLog;
  /** What was acknowledged: event and index. */
  const acknowledged: { readonly event: object; readonly index: number }[] = [];

  beforeAll(async () => {
    log = await createSmallLog(0);
    await log.stop();
  }, 60_000);
  afterAll(async () => removeFolder(log.folder));

  /** Starts the server; there is no address where it ends before it serves. */
  async function start(
    prefix: readonly string[] = [],
  ): Promise<{ readonly child: ChildProcess; readonly url?: string }> {
    const child = startCommand(log.folder, ["serve", "--dir", log.logDir, "--json", "--listen", "127.0.0.1:0"], prefix);
    const served = new Promise<string | undefined>((resolve) => {
      let out = "";
      child.stdout?.on("data", (part: Buffer) => {
        out += part.toString();
        const [, url] = /"url":\s*"([^"]+)"/.exec(out) ?? [];
        if (url !== undefined) resolve(url);
      });
      child.once("close", () => resolve(undefined));
    });
    const url = await served;
    return url === undefined ? { child } : { child, url: `${url}/app` };
  }

  async function stop(child: ChildProcess): Promise<void> {
    child.kill("SIGTERM");
    await exitOf(child);
  }

  /** Reports one event; undefined where nobody answers any more. */
  async function post(url: string, event: object): Promise<{ status: number; index?: number } | undefined> {
    try {
      const response = await fetch(`${url}/v1/events`, {
        method: "POST",
        headers: { authorization: `Bearer ${log.made.tokens.writer}`, "content-type": "application/json" },
        body: JSON.stringify([event]),
      });
      const body = (await response.json()) as readonly { index: number }[];
      return { status: response.status, ...(response.ok ? { index: body[0]?.index ?? -1 } : {}) };
    } catch {
      return undefined;
    }
  }

  function login(): object {
    const time = Date.now();
    const id = newEventId(time, new Uint8Array(randomBytes(16)));
    return { id, time, type: "auth.login", outcome: "success", actor: { type: "user", id: "u_1" } };
  }

  /** Reports events until one is not taken; false where they all were. */
  async function report(url: string): Promise<boolean> {
    for (const deadline = Date.now() + ROUND_MS; Date.now() < deadline; await setTimeout(10)) {
      const event = login();
      const answer = await post(url, event);
      if (answer?.status !== 201) return true;
      acknowledged.push({ event, index: answer.index ?? -1 });
    }
    return false;
  }

  async function expectAllThere(url: string): Promise<void> {
    const found = await Promise.all(acknowledged.map(async ({ event }) => post(url, event)));
    expect(found).toEqual(acknowledged.map(({ index }) => ({ status: 200, index })));
    expect(new Set(acknowledged.map(({ index }) => index)).size).toBe(acknowledged.length);
  }

  test.each(FAULTS)(
    "C-255 C-258 %s, %s at number %s: the next start has all that was acknowledged",
    async (call, fault, when) => {
      const faulty = await start(strace(call, fault, when));
      // It comes to the fault: before it serves, or while it writes.
      const came = faulty.url === undefined || (await report(faulty.url));
      await stop(faulty.child);
      expect(came).toBe(true);
      const { child, url = expect.fail("it does not start again") } = await start();
      try {
        await expectAllThere(url);
        expect(await post(url, login())).toMatchObject({ status: 201 });
      } finally {
        await stop(child);
      }
    },
    60_000,
  );

  test("C-255 C-258 nothing is damaged after all of them", async () => {
    expect(acknowledged.length).toBeGreaterThan(FAULTS.length);
    const { code, out } = await runCommand(log.folder, ["fsck", "--dir", log.logDir]);
    expect([code, out]).toEqual([0, expect.any(String)]);
  });
});

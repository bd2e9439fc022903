/** The demo of sessions: somebody uses it in a real browser, and an auditor reads from its log alone what happened. */
import { spawnSync } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { createTallystick } from "@tallystick/client";
import { createMemorySessionStore } from "@tallystick/sessions";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ANN, createDemo, serveDemo } from "../../docs/examples/sessions-demo/app.ts";
import { findChromium } from "../support/chromium.ts";
import { freePort } from "../support/free-port.ts";
import { type Dev, removeFolder, startDev, temporaryFolder } from "../support/processes.ts";

const MINUTE_MS = 60_000;
/** Of this, the audits of a real log take the most where the machine is busy. */
const TEST_MS = 2 * MINUTE_MS;
const STEP_MS = 30_000;
const MAIN = new URL("../../packages/cli/src/main.ts", import.meta.url).pathname;
const WITHOUT_NETWORK = ["-rn", "sh", "-c", "ip link set lo up && exec sh -s"];

/** A log that comes back where nothing but the machine itself can be reached, and what an auditor asks it. */
const AUDIT = `
  set -- "$NODE" --conditions=ws-source "$MAIN"
  touch dev.out events.out
  "$@" dev --port 0 > dev.out 2>&1 & dev=$!
  until grep -q "Ctrl-C stops" dev.out; do sleep 0.1; done
  "$@" audit --contents --purpose "the demo" > contents.out; echo $? > contents.code
  "$@" audit --sessions --purpose "the demo" > sessions.out; echo $? > sessions.code
  "$@" tail --from 0 --json --purpose "the demo" > events.out & tail=$!
  until grep -q session.timeout events.out; do sleep 0.1; done
  kill $tail $dev; wait $dev; true`;
/** A log that does not come back must not keep whoever waits for it. */
const AUDIT_MS = MINUTE_MS;

const launch = findChromium();
const canUnplug = spawnSync("unshare", ["-rn", "ip", "link", "set", "lo", "up"]).status === 0;
const lacks = [
  launch === undefined ? "no Chromium here, none to be had" : "",
  canUnplug ? "" : "no network namespaces",
];
const why = lacks.filter((each) => each !== "").join(", ");
const name = "the demo of sessions";

describe.skipIf(why !== "")(why === "" ? name : `${name} (skipped: ${why})`, () => {
  let folder: string;
  let dev: Dev;

  beforeAll(async () => {
    folder = await temporaryFolder();
    dev = await startDev(folder);
  });
  afterAll(async () => {
    await dev.stop();
    await removeFolder(folder);
  });

  test(
    "login, failed login, lockout, step-up, export and idle expiry are told by its log, with the network off",
    async () => {
      await useDemo({ folder, dev });
      await dev.stop();

      const env = { ...process.env, NODE: process.execPath, MAIN };
      const { status, stderr } = spawnSync("unshare", WITHOUT_NETWORK, {
        cwd: folder,
        env,
        input: AUDIT,
        encoding: "utf8",
        timeout: AUDIT_MS,
      });
      expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
      const read = async (file: string): Promise<string> => readFile(join(folder, file), "utf8");
      expect(await read("contents.out")).toMatch(/^VERIFIED/);
      expect(await read("contents.code")).toBe("0\n");
      expect(await read("sessions.out")).toMatch(/^VERIFIED[\s\S]* 1 replayed, 1 of them ended/);
      expect(await read("sessions.code")).toBe("0\n");

      expect(storyOf(await read("events.out"))).toEqual([
        "account.create success",
        "auth.login failure INVALID_EMAIL_OR_PASSWORD",
        "auth.login failure INVALID_EMAIL_OR_PASSWORD",
        "auth.login failure INVALID_EMAIL_OR_PASSWORD",
        "auth.lockout success",
        "auth.login denied account locked",
        "auth.login failure INVALID_EMAIL_OR_PASSWORD",
        "auth.login success",
        "access.denied denied reauth-required",
        "session.reauth failure",
        "session.reauth success",
        "access.export unknown",
        "access.export success",
        "session.warning success",
        "session.timeout success idle",
      ]);
    },
    TEST_MS,
  );
});

/** What a user does, in a browser. The clock of the sessions and of the SDK is an hour behind, and goes as the test says. */
async function useDemo({ folder, dev }: { readonly folder: string; readonly dev: Dev }): Promise<void> {
  if (launch === undefined) throw new Error("no browser");
  let ahead = -60 * MINUTE_MS;
  const now = (): number => Date.now() + ahead;
  const { url: logUrl, tokens } = dev.file.log;
  const outbox = join(folder, "outbox");
  const errors = new Set<string>();
  const onError = (error: Error): void => void errors.add("code" in error ? String(error.code) : error.message);
  const settings = { url: logUrl, token: tokens.writer, policy: dev.file.policy, outbox };
  const tally = createTallystick({ ...settings, now, onError });
  const port = await freePort();
  const url = `http://localhost:${port}`;
  const store = createMemorySessionStore({ now });
  const secret = "of this test alone, and 32 characters";
  const demo = await createDemo({ tally, store, database: ":memory:", url, secret });
  const server = await serveDemo(demo, port);

  const browser = await launch();
  const page = await browser.newPage();
  await page.clock.install();
  const pass = async (ms: number): Promise<void> => {
    for (let left = ms; left > 0; left -= STEP_MS) {
      ahead += Math.min(STEP_MS, left);
      await page.clock.runFor(Math.min(STEP_MS, left));
      // What the page asked for before has been answered by then.
      await page.evaluate(`fetch("/").then((it) => it.text())`);
    }
  };
  await page.goto(url);
  for (let times = 0; times < 3; times += 1)
    await signIn(page, "bob@example.org", "guess", "Invalid email or password");
  await signIn(page, "bob@example.org", "guess", "Too many failures");
  await signIn(page, ANN.email, "guess", "Invalid email or password");
  await signIn(page, ANN.email, ANN.password, "");
  await page.waitForSelector("#user:visible");

  await pass(3 * MINUTE_MS);
  await page.keyboard.press("Shift");
  await pass(3 * MINUTE_MS);
  await page.click("text=Export all accounts");
  await page.fill("#step-up input", "guess");
  await page.click("text=Confirm");
  await page.waitForSelector("text=The password is wrong");
  await page.fill("#step-up input", ANN.password);
  await page.click("text=Confirm");
  await page.waitForSelector("text=4711;1234");

  for (let times = 0; !(await page.isVisible("text=Are you still there?")); times += 1) {
    if (times > 20) throw new Error("no warning");
    await pass(15_000);
  }
  expect(await page.isVisible("text=4711;1234")).toBe(true);
  await pass(2 * MINUTE_MS);
  await page.waitForSelector("text=You are signed out");
  expect(await page.isVisible("text=4711;1234")).toBe(false);

  await browser.close();
  await new Promise((resolve) => void server.close(resolve));
  await demo.sessions.close();
  // By that clock its receipts are from the future, so that it takes none. The auditor proves all of it.
  await tally.flush({ until: "durable" });
  await tally.close();
  // Its clock is an hour behind that of the log.
  expect([...errors]).toEqual(["log-time-disputed"]);
}

async function signIn(page: Page, email: string, password: string, said: string): Promise<void> {
  await page.evaluate(`document.getElementById("message").textContent = "…"`);
  await page.fill("#sign-in [name=email]", email);
  await page.fill("#sign-in [name=password]", password);
  await page.click("#sign-in button");
  const message = async (): Promise<string | null> => page.textContent("#message");
  await expect.poll(message, { timeout: MINUTE_MS, interval: 20 }).not.toBe("…");
  expect(await message()).toMatch(said === "" ? /^$/ : new RegExp(`^${said}`));
}

interface Line {
  readonly event?: { readonly type: string; readonly outcome?: string; readonly reason?: string };
}

/** The events in their order, but for what a page may or may not do at some moment, and what is of no interest here. */
function storyOf(lines: string): string[] {
  const left = /^(stream|log|session\.(start|activity|policy|class|rotate|use_after_expiry))/;
  return lines
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => (JSON.parse(line) as Line).event)
    .filter((event) => event !== undefined && !left.test(event.type))
    .map((event) => [event?.type, event?.outcome, event?.reason].filter((each) => each !== undefined).join(" "));
}

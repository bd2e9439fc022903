/** The browser part among what it cannot trust: other applications of its origin, other origins, servers that talk nonsense. */
import { randomUUID } from "node:crypto";
import { isDeepStrictEqual } from "node:util";
import type { Browser, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { bundleForBrowser } from "../../../test/support/browser-bundle.ts";
import { findChromium } from "../../../test/support/chromium.ts";
import { type Server, SignedIn, becomes, kind, servePage, until } from "./support/browser-page.ts";

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const CHANNEL = "tallystick-session:/session";
const NONSENSE = [
  "null",
  "7",
  "'x'",
  "[]",
  "{}",
  "{ session: 5, remainingSeconds: 100 }",
  "{ session: 'a' }",
  "{ session: 'a', remainingSeconds: '100' }",
  "{ session: 'a', remainingSeconds: NaN }",
  "{ session: 'a', remainingSeconds: Infinity }",
];

const bundle = await bundleForBrowser(new URL("../src/browser.ts", import.meta.url).pathname);
const launch = findChromium();
const name = "the browser part, attacked";

describe.skipIf(launch === undefined)(
  launch === undefined ? `${name} (skipped: no Chromium here, none to be had)` : name,
  () => {
    let browser: Browser;
    let server: Server;
    let user: SignedIn;
    let errors: string[];

    beforeAll(async () => {
      if (launch !== undefined) browser = await launch();
    });
    afterAll(async () => browser.close());
    beforeEach(async () => {
      server = await servePage(bundle, { idle: "5m", absolute: "8h" });
      user = await SignedIn.in(browser, server);
      errors = [];
      user.context.on("weberror", (each) => errors.push(each.error().message));
    });
    afterEach(async () => {
      await user.close();
      await server.close();
      expect(errors).toEqual([]);
    });

    /** Says what another application of the origin might, on the channel. */
    async function say(page: Page, message: string): Promise<void> {
      const ping = randomUUID();
      await page.evaluate(`{
        const own = window.channel;
        const another = new BroadcastChannel("${CHANNEL}");
        window.channel = own;
        for (const each of [${message}, { ping: "${ping}" }]) another.postMessage(each);
      }`);
      await until(page, `heard.has("${ping}")`);
      await user.settled();
    }

    async function ownSession(page: Page): Promise<string> {
      return page.evaluate<string>(`fetch("/session").then((it) => it.json()).then((it) => it.session)`);
    }

    test("S15 nonsense on the tabs' channel changes nothing", async () => {
      const page = await user.tab();
      for (const message of [...NONSENSE, "{ kind: 'over' }", "{ kind: 'status' }", "new Map()"])
        await say(page, message);
      expect(await page.evaluate("watch.view")).toEqual({ kind: "page", remainingSeconds: 300 });
      await user.pass(5 * MINUTE_MS + 2000);
      expect(await kind(page)).toBe("over");
    });

    test("S15 who tells of an end or of another session only has the server asked", async () => {
      const page = await user.tab();
      for (const message of ["'over'", "{ session: 'another', remainingSeconds: 100 }"]) {
        const asked = page.waitForRequest("**/session");
        await say(page, message);
        await asked;
        await becomes(page, "page");
      }
    });

    test("S1, S15 who says again and again that the session goes on does not keep a page from asking", async () => {
      const page = await user.tab();
      const session = await ownSession(page);
      for (let times = 0; times < 16; times += 1) {
        await user.pass(20_000);
        await say(page, `{ session: "${session}", remainingSeconds: 1e6 }`);
      }
      await user.pass(MINUTE_MS);
      expect(await page.evaluate("watch.view")).toEqual({ kind: "over", reason: "idle" });
    });

    test("S15 a storage with nonsense changes nothing, and nothing is left in it", async () => {
      await user.context.addInitScript("delete globalThis.BroadcastChannel");
      const [page, other] = [await user.tab(), await user.tab()];
      for (const text of ["", "{", "null", "7", '{"message":null}', '{"session":"a","remainingSeconds":"1e9"}'])
        await other.evaluate(`localStorage.setItem("${CHANNEL}", ${JSON.stringify(text)})`);
      await other.evaluate("localStorage.clear()");
      expect(await kind(page)).toBe("page");
      await other.evaluate("void watch.signOut()");
      await becomes(page, "over");
      expect(await page.evaluate("localStorage.length")).toBe(0);
    });

    test("S15 a page that may use neither channel nor storage ends all the same, and its tabs soon", async () => {
      await user.context.addInitScript(`
        globalThis.BroadcastChannel = class { constructor() { throw new DOMException("no", "SecurityError"); } };
        Object.defineProperty(globalThis, "localStorage", { get() { throw new DOMException("no", "SecurityError"); } });`);
      const [one, other] = [await user.tab(), await user.tab()];
      await one.evaluate("watch.signOut()");
      expect(await one.evaluate("watch.view")).toEqual({ kind: "over", reason: "logout" });
      await user.pass(31_000);
      expect(await kind(other)).toBe("over");
    });

    test("messages of windows, own or of another origin, are not listened to", async () => {
      const page = await user.tab();
      let asked = 0;
      page.on("request", () => (asked += 1));
      await page.evaluate(`for (const each of ["over", { session: "a", remainingSeconds: 1 }]) postMessage(each, "*")`);
      await user.settled();
      expect([await kind(page), asked]).toEqual(["page", 0]);
    });

    test("an answer that is no status is none: the page stays covered, and comes back with a real one", async () => {
      const bodies = ["", "<html>", "null", "[]", "{}", '{"session":null}', '{"session":"a","remainingSeconds":"9"}'];
      const page = await user.tab();
      for (const body of bodies) {
        await user.context.route("**/session", async (route) => route.fulfill({ status: 200, body }));
        await page.reload();
        await until(page, `window.watch?.view.offline === true`);
        expect(await page.isVisible("#secret")).toBe(false);
        await user.context.unroute("**/session");
        await user.pass(2000, 1000);
        expect([body, await kind(page)]).toEqual([body, "page"]);
      }
      for (const status of [204, 404, 503]) {
        await user.context.route("**/session", async (route) => route.fulfill({ status }));
        await user.pass(31_000, 1000);
        expect([status, await kind(page)]).toEqual([status, "page"]);
        await user.context.unroute("**/session");
        await user.pass(16_000, 1000);
      }
    });

    test("what a server says is text, whatever it says", async () => {
      const reasons = ['<img src="x" onerror="alert(1)">', "constructor", "__proto__", { toString: 1 }, 7, null];
      for (const reason of reasons) {
        const page = await user.tab();
        const json = { code: "session-expired", reason };
        await page.route("**/session", async (route) => route.fulfill({ status: 401, json }));
        await user.pass(31_000);
        await becomes(page, "over");
        expect(await page.textContent("[role=alertdialog]")).toBe("You are signed outSign in again");
        await page.close();
        user.forget(page);
      }
    });

    test("seconds in a header that are none are not believed, nor those of another origin that a request was sent to", async () => {
      const page = await user.tab();
      for (const remaining of ["300, 300", "soon", "", "Infinity"]) {
        const headers = { "tallystick-session-remaining": remaining };
        await page.route("**/data", async (route) => route.fulfill({ status: 200, headers, body: "" }));
        await page.evaluate(`watch.fetch("/data")`);
        await page.unroute("**/data");
      }
      expect(
        await page.evaluate(`watch.fetch("/away").then(({ status, url }) => [status, new URL(url).hostname])`),
      ).toEqual([200, "localhost"]);
      await user.pass(1000);
      expect(await page.evaluate("watch.view.remainingSeconds")).toBe(299);
    });

    test("what a page fetches goes through where a refusal is no problem of ours, and after the watch was stopped", async () => {
      const page = await user.tab();
      for (const body of ["null", "no JSON", "{}", '{"code":7}']) {
        await page.route("**/data", async (route) => route.fulfill({ status: 401, body }));
        expect(await page.evaluate(`watch.fetch("/data").then((it) => it.text())`)).toBe(body);
        await page.unroute("**/data");
      }
      expect(await kind(page)).toBe("page");
      await page.evaluate("watch.stop()");
      expect(await page.evaluate(`watch.fetch("/data").then(({ status }) => status)`)).toBe(200);
      expect(await page.evaluate("watch.extend()")).toBe(false);
    });

    test("hours leave nothing behind, nor does starting and stopping", async () => {
      const page = await user.tab();
      const session = await user.context.newCDPSession(page);
      await session.send("Performance.enable");
      const countOnce = async (): Promise<unknown> => {
        await session.send("HeapProfiler.collectGarbage");
        const { metrics } = await session.send("Performance.getMetrics");
        const of = (wanted: string): number => metrics.find((each) => each.name === wanted)?.value ?? Number.NaN;
        return { nodes: of("Nodes"), listeners: of("JSEventListeners") };
      };
      // What one collection lets go of, the next takes away.
      const count = async (): Promise<unknown> => {
        for (let last = await countOnce(); ;) {
          const next = await countOnce();
          if (isDeepStrictEqual(last, next)) return next;
          last = next;
        }
      };
      let asked = 0;
      page.on("request", () => (asked += 1));
      const round = async (): Promise<void> => {
        await user.pass(4 * MINUTE_MS + 10_000);
        await page.keyboard.press("Escape");
        await becomes(page, "page");
        await user.settled();
      };
      await round();
      const [before, askedBefore] = [await count(), asked];
      for (let passed = 0; passed < HOUR_MS; passed += 4 * MINUTE_MS) await round();
      expect(await count()).toEqual(before);
      // Two a minute, and what a warning takes.
      expect(asked - askedBefore).toBeLessThan(240);
      for (let times = 0; times < 20; times += 1) await page.evaluate("{ watch.stop(); start(); }");
      await becomes(page, "page");
      expect(await page.evaluate("document.adoptedStyleSheets.length")).toBe(1);
      expect(await page.evaluate(`document.querySelectorAll("dialog").length`)).toBeLessThanOrEqual(1);
    });
  },
);

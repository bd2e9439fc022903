/** The snippets of docs/guides/sessions-browser.md, in a real browser, under the policy that the guide promises to take. */
import { spawnSync } from "node:child_process";
import { mkdir, readFile, symlink, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { createMemorySessionStore } from "@tallystick/sessions";
import { createTestTallystick } from "@tallystick/testing";
import type { Browser, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { ANN, createDemo, serveDemo } from "../../../docs/examples/sessions-demo/app.ts";
import { bundleForBrowser } from "../../../test/support/browser-bundle.ts";
import { findChromium } from "../../../test/support/chromium.ts";
import { freePort } from "../../../test/support/free-port.ts";
import { removeFolder, temporaryFolder } from "../../../test/support/processes.ts";
import { until } from "./support/browser-page.ts";

const ROOT = resolve(import.meta.dirname, "../../..");
const MINUTE_MS = 60_000;
const STRICT = { "content-security-policy": "default-src 'self'", "cache-control": "no-store" };

const guide = await readFile(join(ROOT, "docs/guides/sessions-browser.md"), "utf8");
const launch = findChromium();
const name = "docs/guides/sessions-browser.md";

/** The blocks of one language that hold some words. */
function block(language: string, words: string): string {
  const blocks = [...guide.matchAll(/```(\w+)\n([\s\S]*?)```/g)];
  const found = blocks.filter(([, each, code = ""]) => each === language && code.includes(words));
  expect(found).toHaveLength(1);
  return found[0]?.[2] ?? "";
}

const compilerOptions = {
  strict: true,
  exactOptionalPropertyTypes: true,
  noUncheckedIndexedAccess: true,
  target: "ES2024",
  lib: ["ES2024", "DOM", "DOM.Iterable"],
  module: "ESNext",
  moduleResolution: "bundler",
  types: [],
  customConditions: ["ws-source"],
  allowImportingTsExtensions: true,
  skipLibCheck: true,
  noEmit: true,
};

const SNIPPETS = { words: "Noch da?", view: "onView", auth: "createAuthClient" } as const;

describe(name, () => {
  let folder: string;
  const bundles = new Map<string, string>();

  beforeAll(async () => {
    folder = await temporaryFolder();
    await mkdir(join(folder, "node_modules"));
    await symlink(join(ROOT, "node_modules/@tallystick"), join(folder, "node_modules/@tallystick"));
    await symlink(join(ROOT, "packages/sessions/node_modules/better-auth"), join(folder, "node_modules/better-auth"));
    for (const [file, words] of Object.entries(SNIPPETS)) {
      await writeFile(join(folder, `${file}.ts`), block("ts", words));
      bundles.set(file, await bundleForBrowser(join(folder, `${file}.ts`)));
    }
    const files = Object.keys(SNIPPETS).map((file) => `${file}.ts`);
    await writeFile(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions, files }));
  });
  afterAll(async () => removeFolder(folder));

  test("what goes through a bundler has no type error, strictly", () => {
    const { stdout } = spawnSync(join(ROOT, "node_modules/.bin/tsc"), ["-p", folder], { encoding: "utf8" });
    // The package's own sources are for servers: of those, this program sees what needs their types.
    expect(stdout.split("\n").filter((line) => /^(words|view|auth)\.ts/.test(line))).toEqual([]);
  });

  describe.skipIf(launch === undefined)(
    launch === undefined ? "in a browser (skipped: no Chromium here, none to be had)" : "in a browser",
    () => {
      let browser: Browser;
      let page: Page;
      let url: string;
      let now: number;
      let stop: () => Promise<void>;

      beforeAll(async () => {
        if (launch !== undefined) browser = await launch();
      });
      afterAll(async () => browser.close());

      beforeEach(async () => {
        now = Date.now();
        const store = createMemorySessionStore({ now: () => now });
        const port = await freePort();
        url = `http://localhost:${port}`;
        const secret = "of this test alone, and 32 characters";
        const demo = await createDemo({ tally: createTestTallystick(), store, database: ":memory:", url, secret });
        const { app } = demo;
        const script = (code: string): Response =>
          new Response(code, { headers: { "content-type": "text/javascript" } });
        app.get("/orders.html", (context) => context.html(block("html", "<title>Orders"), 200, STRICT));
        app.get("/orders.css", () => new Response(block("css", ":root"), { headers: { "content-type": "text/css" } }));
        app.get("/orders.js", () => script(block("js", "/tallystick/browser.js")));
        app.get("/bundle/:file", ({ req }) => script(bundles.get(req.param("file")) ?? ""));
        app.get("/with/:file", ({ req, html }) => {
          const code = `/as/${req.param("file")}.js`;
          return html(
            `<title>x</title><main id="app">1,234</main><script type="module" src="${code}"></script>`,
            200,
            STRICT,
          );
        });
        app.get("/as/:file", ({ req }) => {
          const file = req.param("file").replace(".js", "");
          return script(`import * as it from "/bundle/${file}"; globalThis.it = it;`);
        });
        app.get("/api/orders", (context) => context.text("order 1"));
        const server = await serveDemo(demo, port);
        stop = async () => {
          await new Promise((resolveClosed) => void server.close(resolveClosed));
          await demo.sessions.close();
        };
        const context = await browser.newContext();
        await context.request.post(`${url}/api/auth/sign-in/email`, {
          data: { email: ANN.email, password: ANN.password },
          headers: { origin: url },
        });
        page = await context.newPage();
      });
      afterEach(async () => {
        await page.context().close();
        await stop();
      });

      test("a plain page shows nothing before the server has answered, then its orders, and leaves", async () => {
        const held = Promise.withResolvers<void>();
        await page.route("**/session", async (route) => {
          await held.promise;
          await route.continue();
        });
        await page.goto(`${url}/orders.html`, { waitUntil: "commit" });
        await page.waitForSelector("h1", { state: "attached" });
        expect(await page.isVisible("h1")).toBe(false);
        held.resolve();
        await page.waitForSelector("text=order 1");
        await page.click("#sign-out");
        await page.waitForSelector("text=You are signed out");
        expect(await page.isVisible("#orders")).toBe(false);
      });

      test("a bundled application says it in its own words", async () => {
        await page.goto(`${url}/with/words`);
        await until(page, "window.it?.watch.view.kind === 'page'");
        now += 9 * MINUTE_MS + 30_000;
        await page.evaluate("it.watch.fetch('/session').then(() => undefined)");
        await page.waitForSelector("text=Noch da?");
        expect(await page.textContent("[role=timer]")).toMatch(/^Sie werden in \d+ Sekunden abgemeldet\.$/);
        await page.click("text=Angemeldet bleiben");
        await until(page, "it.watch.view.kind === 'page'");
      });

      test("an application shows it in its own way", async () => {
        await page.goto(`${url}/with/view`);
        await until(page, "window.it?.watch.view.kind === 'page'");
        expect(await page.isVisible("#app")).toBe(true);
        await page.evaluate("it.watch.signOut()");
        expect(await page.isVisible("#app")).toBe(false);
      });

      test("better-auth's client asks again who it is, and leaves in all tabs", async () => {
        await page.goto(`${url}/with/auth`);
        const other = await page.context().newPage();
        await other.goto(`${url}/with/words`);
        await until(other, "window.it?.watch.view.kind === 'page'");
        await until(page, "window.it !== undefined");
        expect(await page.evaluate(`it.showAgain("guess")`)).toBe(false);
        expect(await page.evaluate(`it.showAgain(${JSON.stringify(ANN.password)})`)).toBe(true);
        await page.evaluate("it.signOut()");
        await page.waitForSelector("text=You are signed out");
        await other.waitForSelector("text=You are signed out");
        expect(await page.evaluate(`fetch("/account").then(({ status }) => status)`)).toBe(401);
      });
    },
  );
});

/** A page of a signed-in user in a real browser, whose server's clock and whose own a test sets. */
import { randomUUID } from "node:crypto";
import { type ServerType, serve } from "@hono/node-server";
import type { SessionsOptions } from "@tallystick/sessions";
import { guard, sessionRoutes, startSession } from "@tallystick/sessions/hono";
import { Hono } from "hono";
import type { Browser, BrowserContext, BrowserContextOptions, Page } from "playwright-core";
import { expect } from "vitest";
import { type Scene, scene } from "./setup.ts";

/** The browser's clock is that wrong. */
const DAY_MS = 86_400_000;
/** A machine may be that busy. */
const BUSY_MS = 60_000;
/** A page asks at least so often. */
const STEP_MS = 30_000;

/**
 * Counts what the page has asked for and not yet looked at. Whoever waits for an answer goes on at once when it is there, so
 * it is counted down a task later. Answers are given up by `giveUp` instead of the machine's clock. Tabs hear what they are
 * told in order: who has heard a ping has heard all before it.
 */
const COUNT_ASKED = `
  window.underWay = 0;
  window.waiting = [];
  const count = (work) => async function (...args) {
    underWay += 1;
    try {
      return await work.apply(this, args);
    } finally {
      const { port1, port2 } = new MessageChannel();
      port1.onmessage = () => { underWay -= 1; port1.close(); };
      port2.postMessage(0);
    }
  };
  window.fetch = count(window.fetch);
  Response.prototype.json = count(Response.prototype.json);
  AbortSignal.timeout = (ms) => {
    const controller = new AbortController();
    waiting.push({ ms, giveUp: () => controller.abort(new DOMException("timed out", "TimeoutError")) });
    return controller.signal;
  };
  window.heard = new Set();
  const { BroadcastChannel } = window;
  window.BroadcastChannel = class extends BroadcastChannel {
    constructor(name) {
      super(name);
      window.channel = this;
      this.addEventListener("message", ({ data }) => heard.add(data?.ping));
    }
  };`;

const PAGE = `<!doctype html><html lang="en"><meta charset="utf-8"><title>Accounts</title>
<h1 id="secret">Balance of u_81: 1,234</h1><label>Note <input id="note"></label>
<button id="elsewhere">Elsewhere</button>
<script type="module" src="/page.js"></script>`;
const SCRIPT = `
import { watchSession } from "/browser.js";
window.start = () => (window.watch = watchSession(window.watchOptions));
start();`;
/** As strict as can be: nothing inline, and no string becomes markup or code. */
const CONTENT_SECURITY_POLICY =
  "default-src 'self'; connect-src 'self' http://localhost:*; require-trusted-types-for 'script'; trusted-types 'none'";
/** How a page of another origin allows everything. */
const FOR_ALL = {
  "access-control-allow-origin": "*",
  "access-control-allow-headers": "tallystick-activity",
  "access-control-expose-headers": "*",
};

export interface Server extends Scene {
  readonly url: string;
  /** From now on questions about the session wait for `answer`; `asked` is when the next one has come. */
  readonly hold: () => { readonly asked: Promise<void>; readonly answer: () => void };
  readonly close: () => Promise<void>;
}

/** Serves an application with a page, its sessions, and something to fetch. */
export async function servePage(bundle: string, options: Partial<SessionsOptions>): Promise<Server> {
  const set = scene(options);
  const { sessions } = set;
  const app = new Hono();
  app.get("/", (context) => context.html(PAGE, 200, { "content-security-policy": CONTENT_SECURITY_POLICY }));
  app.get("/page.js", (context) => context.body(SCRIPT, 200, { "content-type": "text/javascript" }));
  app.get("/elsewhere", (context) => context.html("<p>Elsewhere"));
  app.get("/browser.js", (context) => context.body(bundle, 200, { "content-type": "text/javascript" }));
  app.post("/sign-in/:user", async (context) => {
    await startSession(context, { sessions, user: context.req.param("user"), factors: ["password"] });
    return context.body(null, 204);
  });
  app.get("/data", guard(sessions), (context) => context.json({ balance: 1234 }));
  app.get("/secret-data", guard(sessions, { reauth: { maxAge: "1s" } }), (context) => context.json({}));
  // The same server by its other name is another origin.
  app.get("/away", (context) => context.redirect(`http://localhost:${new URL(context.req.url).port}/claims`));
  app.options("/claims", (context) => context.body(null, 204, FOR_ALL));
  app.get("/claims", (context) => context.text("", 200, { ...FOR_ALL, "tallystick-session-remaining": "9999" }));
  let onAsked = async (): Promise<void> => undefined;
  app.use("/session/*", async (_context, next) => {
    await onAsked();
    await next();
  });
  app.route("/session", sessionRoutes(sessions));
  const { server, url } = await listening(app);
  const close = async (): Promise<void> => {
    await new Promise((resolve) => void server.close(resolve));
    await sessions.close();
  };
  const hold: Server["hold"] = () => {
    const asked = Promise.withResolvers<void>();
    const answered = Promise.withResolvers<void>();
    onAsked = async () => {
      asked.resolve();
      await answered.promise;
    };
    return { asked: asked.promise, answer: answered.resolve };
  };
  return { ...set, url, hold, close };
}

async function listening(app: Hono): Promise<{ server: ServerType; url: string }> {
  return new Promise((resolve) => {
    const server = serve({ fetch: app.fetch, port: 0, hostname: "127.0.0.1" }, ({ port }) =>
      resolve({ server, url: `http://127.0.0.1:${port}` }),
    );
  });
}

/** One browser in which somebody has signed in: its tabs share the cookie. */
export class SignedIn {
  readonly context: BrowserContext;
  readonly #server: Server;
  #tabs: readonly Page[] = [];

  private constructor(context: BrowserContext, server: Server) {
    this.context = context;
    this.#server = server;
  }

  static async in(browser: Browser, server: Server, options: BrowserContextOptions = {}): Promise<SignedIn> {
    const context = await browser.newContext({ viewport: { width: 900, height: 600 }, ...options });
    const time = Date.now() + DAY_MS;
    await context.clock.install({ time });
    // Else it goes on by itself, as fast as the machine happens to be.
    await context.clock.pauseAt(time);
    await context.addInitScript(COUNT_ASKED);
    const signedIn = new SignedIn(context, server);
    await signedIn.signIn("u_81");
    return signedIn;
  }

  async signIn(user: string): Promise<void> {
    await this.context.request.post(`${this.#server.url}/sign-in/${user}`);
  }

  async tab(): Promise<Page> {
    const page = await this.context.newPage();
    await page.goto(this.#server.url);
    await until(page, "window.watch?.view.kind === 'page'");
    this.#tabs = [...this.#tabs, page];
    return page;
  }

  /**
   * Lets time pass on the server and in all tabs, in steps, so that each tab can do what it does in that time. The server is
   * ahead by a step at most. No time passes otherwise: what a test waits for afterwards comes at once, by the page's clock.
   */
  async pass(ms: number, stepMs: number = STEP_MS): Promise<void> {
    for (let left = ms; left > 0; left -= stepMs) {
      const now = Math.min(stepMs, left);
      this.#server.pass(now);
      await this.context.clock.runFor(now);
      await this.settled();
    }
  }

  /** What the tabs asked for has come, and they have heard each other. */
  async settled(): Promise<void> {
    for (const tab of this.#tabs) await until(tab, "underWay === 0");
    for (const tab of this.#tabs.length > 1 ? this.#tabs : []) {
      const ping = randomUUID();
      const isTold = await tab.evaluate(`"channel" in window && !channel.postMessage({ ping: "${ping}" })`);
      const others = this.#tabs.filter((other) => other !== tab && isTold === true);
      for (const other of others) await until(other, `heard.has("${ping}")`);
    }
  }

  /** It was closed. */
  forget(page: Page): void {
    this.#tabs = this.#tabs.filter((each) => each !== page);
  }

  async close(): Promise<void> {
    await this.context.close();
  }
}

export async function kind(page: Page): Promise<unknown> {
  return page.evaluate("watch.view.kind");
}

/** Waits for what no time is needed for: the pages' clocks stand still meanwhile, so that no tab asks by itself. */
export async function becomes(page: Page, wanted: string): Promise<void> {
  await until(page, `watch.view.kind === "${wanted}"`);
}

/** Asks from outside: what is looked at from within needs a policy that lets strings be code. */
export async function until(page: Page, condition: string): Promise<void> {
  const isSo = async (): Promise<boolean> => page.evaluate<boolean>(`Boolean(${condition})`);
  await expect.poll(isSo, { timeout: BUSY_MS, interval: 5, message: condition }).toBe(true);
}

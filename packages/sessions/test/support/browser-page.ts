/** A page of a signed-in user in a real browser, whose server's clock and whose own a test sets. */
import { type ServerType, serve } from "@hono/node-server";
import type { SessionsOptions } from "@tallystick/sessions";
import { guard, sessionRoutes, startSession } from "@tallystick/sessions/hono";
import { Hono } from "hono";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { type Scene, scene } from "./setup.ts";

/** The browser's clock is that wrong. */
const DAY_MS = 86_400_000;
/** A page asks at least so often. */
const STEP_MS = 30_000;

const PAGE = `<!doctype html><html lang="en"><meta charset="utf-8"><title>Accounts</title>
<h1 id="secret">Balance of u_81: 1,234</h1><label>Note <input id="note"></label>
<button id="elsewhere">Elsewhere</button>
<script type="module">
import { watchSession } from "/browser.js";
window.watch = watchSession(window.watchOptions);
</script>`;

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
  app.get("/", (context) => context.html(PAGE));
  app.get("/elsewhere", (context) => context.html("<p>Elsewhere"));
  app.get("/browser.js", (context) => context.body(bundle, 200, { "content-type": "text/javascript" }));
  app.post("/sign-in/:user", async (context) => {
    await startSession(context, { sessions, user: context.req.param("user"), factors: ["password"] });
    return context.body(null, 204);
  });
  app.get("/data", guard(sessions), (context) => context.json({ balance: 1234 }));
  app.get("/secret-data", guard(sessions, { reauth: { maxAge: "1s" } }), (context) => context.json({}));
  let onAsked = async (): Promise<void> => undefined;
  app.use("/session", async (_context, next) => {
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
  readonly #tabs: Tab[] = [];

  private constructor(context: BrowserContext, server: Server) {
    this.context = context;
    this.#server = server;
  }

  static async in(
    browser: Browser,
    server: Server,
    options: { colorScheme?: "light" | "dark" } = {},
  ): Promise<SignedIn> {
    const context = await browser.newContext({ ...options, viewport: { width: 900, height: 600 } });
    await context.clock.install({ time: Date.now() + DAY_MS });
    const signedIn = new SignedIn(context, server);
    await signedIn.signIn("u_81");
    return signedIn;
  }

  async signIn(user: string): Promise<void> {
    await this.context.request.post(`${this.#server.url}/sign-in/${user}`);
  }

  async tab(): Promise<Page> {
    const page = await this.context.newPage();
    const tab = new Tab(page);
    await page.goto(this.#server.url);
    await page.waitForFunction("window.watch?.view.kind === 'page'", undefined, { polling: 20 });
    this.#tabs.push(tab);
    return page;
  }

  /**
   * Lets time pass on the server and in all tabs, in steps, so that each tab can do what it does in that time. The server is
   * ahead by a step at most.
   */
  async pass(ms: number, stepMs: number = STEP_MS): Promise<void> {
    for (let left = ms; left > 0; left -= stepMs) {
      const now = Math.min(stepMs, left);
      this.#server.pass(now);
      for (const tab of this.#tabs) await tab.run(now);
      for (const tab of this.#tabs) await tab.settled();
    }
  }

  async close(): Promise<void> {
    await this.context.close();
  }
}

class Tab {
  readonly #page: Page;
  readonly #underWay = new Set<unknown>();

  constructor(page: Page) {
    this.#page = page;
    page.on("request", (request) => this.#underWay.add(request));
    page.on("requestfinished", (request) => this.#underWay.delete(request));
    page.on("requestfailed", (request) => this.#underWay.delete(request));
  }

  async run(ms: number): Promise<void> {
    await this.#page.clock.runFor(ms);
  }

  /** What the page asked for has come, and the page has seen it. */
  async settled(): Promise<void> {
    do
      await this.#page.evaluate(
        "new Promise((resolve) => { const { port1, port2 } = new MessageChannel(); port1.onmessage = resolve; port2.postMessage(0); })",
      );
    while (this.#underWay.size > 0);
  }
}

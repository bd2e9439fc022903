/**
 * The demo: an application with accounts of better-auth on SQLite, whose sessions end when they say, and an export that asks
 * who you are. What happens in it is in the log.
 */
import { readFile } from "node:fs/promises";
import { stripTypeScriptTypes } from "node:module";
import { DatabaseSync } from "node:sqlite";
import { type ServerType, serve } from "@hono/node-server";
import type { Tallystick } from "@tallystick/client";
import { type SessionStore, type Sessions, createSessions } from "@tallystick/sessions";
import { tallystickPlugin } from "@tallystick/sessions/better-auth";
import { audit, auditOf, guard, problems, sessionOf, sessionRoutes } from "@tallystick/sessions/hono";
import { type BetterAuthOptions, betterAuth } from "better-auth";
import { getMigrations } from "better-auth/db/migration";
import { Hono } from "hono";

export interface DemoOptions {
  readonly tally: Tallystick;
  /** Where sessions are; see @tallystick/sessions/sqlite. */
  readonly store: SessionStore;
  /** Accounts: a file, or ":memory:". */
  readonly database: string;
  /** Where browsers find it. */
  readonly url: string;
  /** better-auth's: at least 32 characters. */
  readonly secret: string;
}

export interface Demo {
  readonly app: Hono;
  readonly sessions: Sessions;
}

/** Who is there from the beginning. */
export const ANN = { email: "ann@example.org", password: "correct horse", name: "Ann" };

const PAGE = [
  ["/", "page.html", "text/html; charset=utf-8"],
  ["/page.css", "page.css", "text/css"],
  ["/page.js", "page.js", "text/javascript"],
] as const;

/** Nothing of another origin, and nothing inline; the way back after signing out leads to the server. */
const PAGE_HEADERS = { "content-security-policy": "default-src 'self'", "cache-control": "no-store" };

export async function createDemo({ tally, store, database, url, secret }: DemoOptions): Promise<Demo> {
  const sessions = createSessions(tally, {
    store,
    idle: "10m",
    absolute: "8h",
    classes: { high: { idle: "5m", absolute: "1h" } },
  });
  const options = {
    baseURL: url,
    secret,
    database: new DatabaseSync(database),
    emailAndPassword: { enabled: true, autoSignIn: false },
    rateLimit: { enabled: false },
    logger: { level: "error" },
    plugins: [tallystickPlugin(tally, { sessions, lockout: { failures: 3, within: "15m" } })],
  } satisfies BetterAuthOptions;
  await (await getMigrations(options)).runMigrations();
  const auth = betterAuth(options);
  const { internalAdapter } = await auth.$context;
  if ((await internalAdapter.findUserByEmail(ANN.email)) === null) await auth.api.signUpEmail({ body: ANN });

  const app = new Hono();
  app.use(audit(tally));
  app.onError(problems);
  for (const [path, file, type] of PAGE) {
    const headers = { "content-type": type, ...PAGE_HEADERS };
    app.get(path, async (context) =>
      context.body(await readFile(new URL(file, import.meta.url), "utf8"), 200, headers),
    );
  }
  app.get("/tallystick/:file", async (context) => {
    return context.body(await browserModule(context.req.param("file")), 200, { "content-type": "text/javascript" });
  });
  app.on(["GET", "POST"], "/api/auth/*", async (context) => auth.handler(context.req.raw));
  app.route("/session", sessionRoutes(sessions));

  app.get("/account", guard(sessions), (context) => context.json({ user: sessionOf(context).user }));
  app.post("/export", guard(sessions, { class: "high", reauth: { maxAge: "5m" } }), async (context) => {
    const targets = [{ type: "report", id: "accounts-2026" }];
    const file = await auditOf(context).audit({ type: "access.export", targets }, () => "account;balance\n4711;1234\n");
    return context.text(file);
  });
  return { app, sessions };
}

/** Serves it on this machine; resolves once it listens. */
export async function serveDemo({ app }: Demo, port: number): Promise<ServerType> {
  return new Promise((resolve) => {
    const server = serve({ fetch: app.fetch, port, hostname: "localhost" }, () => resolve(server));
  });
}

/** The browser part as this package brings it. An application with a bundler imports it instead. */
async function browserModule(file: string): Promise<string> {
  const entry = import.meta.resolve("@tallystick/sessions/browser");
  const extension = entry.slice(entry.lastIndexOf("."));
  const [name] = /^browser(?:-[a-z]+)?(?=\.[jt]s$)/.exec(file) ?? ["browser"];
  const code = await readFile(new URL(name + extension, entry), "utf8");
  return extension === ".ts" ? stripTypeScriptTypes(code) : code;
}

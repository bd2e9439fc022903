/** One and the same application in Hono, Express and Fastify, on a port of the system's choice. */
/* oxlint-disable oxc/no-async-endpoint-handlers -- Express 5 and Fastify take what a handler rejects with. */
import { type IncomingMessage, type Server, createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { serve } from "@hono/node-server";
import express from "express";
import Fastify from "fastify";
import { Hono } from "hono";
import { streamSSE } from "hono/streaming";
import { WebSocketServer } from "ws";
import type { Sessions } from "@tallystick/sessions";
import * as onExpress from "@tallystick/sessions/express";
import * as onFastify from "@tallystick/sessions/fastify";
import * as onHono from "@tallystick/sessions/hono";

export interface AppOptions {
  readonly sessions: Sessions;
  readonly log: onHono.AuditLog;
  readonly audit?: onHono.AuditOptions;
}

export interface RunningApp {
  readonly url: string;
  /** The handlers behind guards that ran, by path. */
  readonly ran: string[];
  close(): Promise<void>;
}

interface Login {
  readonly user: string;
  readonly tenant?: string;
  readonly factors?: string[];
  readonly success?: boolean;
}

const STEP_UP: onHono.GuardOptions = { reauth: { maxAge: "5m", factors: ["otp"] } };
const EXPORT = { type: "access.export", targets: [{ type: "report", id: "r1" }] } as const;
const NEVER_MS = 2 ** 30;

export const FRAMEWORKS: Readonly<Record<string, (options: AppOptions) => Promise<RunningApp>>> = {
  Hono: startHono,
  Express: startExpress,
  Fastify: startFastify,
};

async function startHono({ sessions, log, audit }: AppOptions): Promise<RunningApp> {
  const ran: string[] = [];
  const app = new Hono();
  app.use(onHono.audit(log, audit));
  app.onError(onHono.problems);
  app.post("/login", async (c) => {
    const { user, tenant, factors } = await c.req.json<Login>();
    const { session } = await onHono.startSession(c, { sessions, user, tenant, factors });
    return c.json({ id: session.id });
  });
  app.post("/reauth", async (c) => {
    const { factors = [], success } = await c.req.json<Login>();
    const { id } = await onHono.reauthSession(c, { sessions, factors, success });
    return c.json({ id });
  });
  app.post("/logout", async (c) => {
    await onHono.endSession(c, { sessions });
    return c.body(null, 204);
  });
  app.get("/open", (c) => c.text("cached", 200, { "cache-control": "private, max-age=60" }));
  app.route("/session", onHono.sessionRoutes(sessions));
  app.get("/app/poll", onHono.guard(sessions, { activity: false }), (c) => c.text("poll"));
  app.use("/app/*", onHono.guard(sessions));
  app.get("/app/hello", (c) => {
    ran.push("hello");
    return c.json(onHono.sessionOf(c));
  });
  app.get("/app/high", onHono.guard(sessions, { class: "high" }), (c) => c.json(onHono.sessionOf(c)));
  app.get("/app/leave", onHono.guard(sessions, { class: "high" }), async (c) => {
    await onHono.endSession(c, { sessions });
    return c.text("gone");
  });
  app.post("/app/step-up", onHono.guard(sessions, STEP_UP), (c) => {
    ran.push("step-up");
    return c.text("done");
  });
  app.post("/app/export", async (c) => {
    const text = await onHono.auditOf(c).audit(EXPORT, () => {
      ran.push("export");
      return "exported";
    });
    return c.text(text);
  });
  app.get("/app/cached", (c) => c.text("cached", 200, { "cache-control": "private, max-age=60" }));
  app.get("/app/fails", () => {
    throw new Error("the application's own failure");
  });
  app.get("/app/stream", (c) =>
    streamSSE(c, async (stream) => {
      stream.onAbort(() => void ran.push("stream closed"));
      await stream.writeSSE({ data: "hello" });
      await stream.sleep(NEVER_MS);
    }),
  );
  const server = await new Promise<Server>((resolve) => {
    const created = serve({ fetch: app.fetch, port: 0, hostname: "127.0.0.1" }, () => resolve(created as Server));
  });
  return running(server, ran, sessions, audit);
}

async function startExpress({ sessions, log, audit }: AppOptions): Promise<RunningApp> {
  const ran: string[] = [];
  const app = express();
  app.use(onExpress.audit(log, audit));
  app.use(express.json());
  app.post("/login", async (req, res) => {
    const { user, tenant, factors } = req.body as Login;
    const { session } = await onExpress.startSession(req, res, { sessions, user, tenant, factors });
    res.json({ id: session.id });
  });
  app.post("/reauth", async (req, res) => {
    const { factors = [], success } = req.body as Login;
    const session = await onExpress.reauthSession(req, res, { sessions, factors, success });
    if (session !== undefined) res.json({ id: session.id });
  });
  app.post("/logout", async (req, res) => {
    await onExpress.endSession(req, res, { sessions });
    res.status(204).end();
  });
  app.get("/open", (_req, res) => void res.setHeader("cache-control", "private, max-age=60").send("cached"));
  app.use("/session", onExpress.sessionRoutes(sessions));
  app.get("/app/poll", onExpress.guard(sessions, { activity: false }), (_req, res) => void res.send("poll"));
  app.use("/app", onExpress.guard(sessions));
  app.get("/app/hello", (req, res) => {
    ran.push("hello");
    res.json(onExpress.sessionOf(req));
  });
  app.get("/app/high", onExpress.guard(sessions, { class: "high" }), (req, res) => {
    res.json(onExpress.sessionOf(req));
  });
  app.get("/app/leave", onExpress.guard(sessions, { class: "high" }), async (req, res) => {
    await onExpress.endSession(req, res, { sessions });
    res.send("gone");
  });
  app.post("/app/step-up", onExpress.guard(sessions, STEP_UP), (_req, res) => {
    ran.push("step-up");
    res.send("done");
  });
  app.post("/app/export", async (req, res) => {
    const text = await onExpress.auditOf(req).audit(EXPORT, () => {
      ran.push("export");
      return "exported";
    });
    res.send(text);
  });
  app.get("/app/cached", (_req, res) => void res.setHeader("cache-control", "private, max-age=60").send("cached"));
  app.get("/app/fails", () => {
    throw Object.assign(new Error("the application's own failure"), { status: 500, expose: false });
  });
  app.get("/app/stream", (_req, res) => {
    res.on("close", () => void ran.push("stream closed"));
    res.setHeader("content-type", "text/event-stream");
    res.write("data: hello\n\n");
  });
  app.use(onExpress.problems);
  app.use(((_error, _req, res, _next) => void res.status(500).end()) satisfies express.ErrorRequestHandler);
  const server = createServer(app);
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  return running(server, ran, sessions, audit);
}

async function startFastify({ sessions, log, audit }: AppOptions): Promise<RunningApp> {
  const ran: string[] = [];
  const app = Fastify();
  app.addHook("onRequest", onFastify.audit(log, audit));
  app.setErrorHandler(onFastify.problems);
  app.post("/login", async (request, reply) => {
    const { user, tenant, factors } = request.body as Login;
    const { session } = await onFastify.startSession(request, reply, { sessions, user, tenant, factors });
    return { id: session.id };
  });
  app.post("/reauth", async (request, reply) => {
    const { factors = [], success } = request.body as Login;
    const session = await onFastify.reauthSession(request, reply, { sessions, factors, success });
    return session === undefined ? reply : { id: session.id };
  });
  app.post("/logout", async (request, reply) => {
    await onFastify.endSession(request, reply, { sessions });
    return reply.code(204).send();
  });
  app.get("/open", async (_request, reply) => {
    reply.header("cache-control", "private, max-age=60");
    return "cached";
  });
  await app.register(onFastify.sessionRoutes(sessions), { prefix: "/session" });
  app.get("/app/poll", { onRequest: onFastify.guard(sessions, { activity: false }) }, async () => "poll");
  await app.register(
    async (guarded) => {
      guarded.addHook("onRequest", onFastify.guard(sessions));
      guarded.get("/hello", async (request) => {
        ran.push("hello");
        return onFastify.sessionOf(request);
      });
      guarded.get("/high", { onRequest: onFastify.guard(sessions, { class: "high" }) }, async (request) =>
        onFastify.sessionOf(request),
      );
      guarded.get("/leave", { onRequest: onFastify.guard(sessions, { class: "high" }) }, async (request, reply) => {
        await onFastify.endSession(request, reply, { sessions });
        return "gone";
      });
      guarded.post("/step-up", { onRequest: onFastify.guard(sessions, STEP_UP) }, async () => {
        ran.push("step-up");
        return "done";
      });
      guarded.post("/export", async (request) =>
        onFastify.auditOf(request).audit(EXPORT, () => {
          ran.push("export");
          return "exported";
        }),
      );
      guarded.get("/cached", async (_request, reply) => {
        reply.header("cache-control", "private, max-age=60");
        return "cached";
      });
      guarded.get("/fails", async () => {
        throw new Error("the application's own failure");
      });
      guarded.get("/stream", (_request, reply) => {
        reply.hijack();
        reply.raw.on("close", () => void ran.push("stream closed"));
        reply.raw.writeHead(200, { "content-type": "text/event-stream" });
        reply.raw.write("data: hello\n\n");
      });
    },
    { prefix: "/app" },
  );
  await app.listen({ port: 0, host: "127.0.0.1" });
  return running(app.server, ran, sessions, audit);
}

/** What is the same in all: WebSockets at /app/socket, and the end. */
function running(server: Server, ran: string[], sessions: Sessions, options: onHono.AuditOptions = {}): RunningApp {
  const sockets = new WebSocketServer({ noServer: true });
  const upgrade = onHono.guardUpgrade(sessions, options);
  server.on("upgrade", (request: IncomingMessage, socket, head) => {
    void upgrade(request, socket).then((session) => {
      if (session === undefined) return;
      sockets.handleUpgrade(request, socket, head, (ws) => {
        ws.on("message", (data) => ws.send(`echo ${data instanceof Buffer ? data.toString() : "?"}`));
        ws.on("close", () => void ran.push("socket closed"));
      });
    });
  });
  return {
    url: urlOf(server),
    ran,
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => {
        server.close(resolve);
      });
    },
  };
}

function urlOf(server: Server): string {
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

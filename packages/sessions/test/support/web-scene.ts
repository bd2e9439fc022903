/** An application with sessions that report to a real log, over a store whose clock the test sets. */
import { type TestTallystick, createTestTallystick } from "@tallystick/testing";
import {
  type SessionStore,
  type Sessions,
  type SessionsOptions,
  createMemorySessionStore,
  createSessions,
} from "@tallystick/sessions";
import type { AuditOptions } from "@tallystick/sessions/hono";
import { Browser } from "./browser.ts";
import { T0 } from "./policies.ts";
import { FRAMEWORKS, type RunningApp } from "./web-app.ts";

/** Idle 10 min, absolute 1 h; high 5 min, 30 min; the tenant's idle 3 min, in class high 2. */
export const LIMITS: Partial<SessionsOptions> = {
  idle: "10m",
  absolute: "1h",
  classes: { high: { idle: "5m", absolute: "30m" } },
  tenants: { strict: { idle: "3m", classes: { high: { idle: "2m" } } } },
};

export interface WebScene extends AsyncDisposable {
  readonly app: RunningApp;
  readonly sessions: Sessions;
  readonly tally: TestTallystick;
  readonly store: SessionStore;
  /** Sets the store's clock to so long after the start. */
  readonly at: (afterMs: number) => void;
  /** A browser without cookies. */
  readonly browser: () => Browser;
  /** One that has signed in. */
  readonly signedIn: (login?: object) => Promise<Browser>;
  /** Waits until all is in the log, and gives the event that is expected. */
  readonly expectEvent: TestTallystick["expect"];
  /** The reported events of a type. */
  readonly reported: (type: string) => Promise<readonly TestTallystick["events"][number][]>;
}

export interface WebSceneOptions {
  readonly limits?: Partial<SessionsOptions>;
  readonly audit?: AuditOptions;
  readonly store?: SessionStore;
  /** By how much the application's clock, which is not the store's, is wrong. */
  readonly clockErrorMs?: number;
}

export async function webScene(framework: string, options: WebSceneOptions = {}): Promise<WebScene> {
  let now = T0;
  // The log has a clock of its own: what the test sets is the store's, which counts.
  const tally = createTestTallystick({ now: () => Date.now() + (options.clockErrorMs ?? 0), failuresPerMinute: 0 });
  const store = options.store ?? createMemorySessionStore({ now: () => now });
  const limits = { ...LIMITS, ...options.limits };
  const sessions = createSessions(tally, { sweepIntervalMs: 0, ...limits, store });
  const start = FRAMEWORKS[framework];
  if (start === undefined) throw new Error(`no framework ${framework}`);
  const app = await start({ sessions, log: tally, ...(options.audit === undefined ? {} : { audit: options.audit }) });
  const browser = (): Browser => new Browser(app.url);
  return {
    app,
    sessions,
    tally,
    store,
    browser,
    at(afterMs) {
      now = T0 + afterMs;
    },
    async signedIn(login = { user: "u1", factors: ["password"] }) {
      const one = browser();
      const { status } = await one.post("/login", login);
      if (status !== 200) throw new Error(`login: expected 200, got ${status}`);
      return one;
    },
    async expectEvent(expected) {
      await sessions.flush();
      return tally.expect(expected);
    },
    async reported(type) {
      await sessions.flush();
      return tally.events.filter((event) => event.type === type);
    },
    async [Symbol.asyncDispose]() {
      await app.close();
      await sessions.close();
      await tally.close();
    },
  };
}

/** Status and code of a refusal, and what else it names. */
export async function refusalOf(response: Response): Promise<unknown> {
  const { type, title, ...problem } = (await response.json()) as Record<string, unknown>;
  if (response.headers.get("content-type") !== "application/problem+json" || typeof title !== "string") {
    throw new Error(`expected a problem, got ${response.headers.get("content-type")}`);
  }
  if (type !== `/problems/${String(problem["code"])}` || problem["status"] !== response.status) {
    throw new Error(`expected type and status as the code says, got ${JSON.stringify({ type, ...problem })}`);
  }
  return problem;
}

/** The seconds that an answer says remain. */
export function remainingOf(response: Response): number {
  return Number(response.headers.get("tallystick-session-remaining") ?? Number.NaN);
}

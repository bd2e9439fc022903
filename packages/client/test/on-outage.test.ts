/** What may be done while the log is away, and what the SDK says of it. */
import { afterEach, describe, expect, test } from "vitest";
import { type TallyEvent, decodeEvent } from "@tallystick/events";
import { AuditUnavailableError, ClientError, LogForkedError, type Recorded, type Report } from "../src/index.ts";
import { clientError } from "../src/error.ts";
import { resolveOutageRules } from "../src/outage.ts";
import { LogDouble, problem } from "./support/log-double.ts";
import { login, startClient, until } from "./support/setup.ts";

const EXPORT: Report = {
  type: "access.export",
  outcome: "success",
  actor: { type: "user", id: "u_1" },
  targets: [{ type: "report", id: "r_1" }],
};

afterEach(() => {
  delete process.env["TALLYSTICK_BREAK_GLASS"];
});

function down(log: LogDouble): void {
  log.hooks.intercept = () => Promise.reject(new TypeError("fetch failed"));
}

/** What the log was sent, in order, without what the SDK says of its stream. */
function collect(log: LogDouble): TallyEvent[] {
  const events: TallyEvent[] = [];
  log.hooks.batch = (batch) => {
    for (const { event } of batch.batch.entries) events.push(decodeEvent(event));
  };
  return events;
}

describe("a type that onOutage denies", () => {
  test("is durable when record resolves, whatever was asked for", async () => {
    const log = new LogDouble();
    const { client } = startClient(log);
    expect((await client.record(EXPORT)).state).toBe("durable");
    expect((await client.record(login())).state).toBe("queued");
    expect((await client.record(EXPORT, { until: "witnessed" })).state).toBe("witnessed");
  });

  test("is refused and not taken while the log is known to be away; others are queued", async () => {
    const log = new LogDouble();
    down(log);
    const { client, errors } = startClient(log);
    await client.record(login());
    await until(() => client.status().state === "offline", "offline");
    const error: unknown = await client.record(EXPORT).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(AuditUnavailableError);
    expect(error).toMatchObject({ code: "audit-unavailable", details: { type: "access.export" } });
    expect(error).not.toHaveProperty("details.state");
    expect(errors).toContain(error);
    expect(client.status()).toMatchObject({ queued: 2, counters: { denied: 1, recorded: 1 } });
  });

  test("is refused where no answer comes in time, and says that it waits", async () => {
    const log = new LogDouble();
    log.hooks.intercept = () => new Promise(() => undefined);
    const { client } = startClient(log);
    const refused = client.record(EXPORT, { timeoutMs: 50 });
    await expect(refused).rejects.toMatchObject({ code: "audit-unavailable", details: { state: "queued" } });
    expect(client.status().queued).toBe(2);
  });

  test("is refused as soon as a try to send fails, and not only when its time is over", async () => {
    const log = new LogDouble();
    down(log);
    const { client } = startClient(log);
    const refused = client.record(EXPORT, { timeoutMs: 600_000 });
    await expect(refused).rejects.toMatchObject({
      details: { state: "queued" },
      cause: { code: "audit-unavailable" },
    });
  });

  test("is refused where the outbox takes nothing", async () => {
    const log = new LogDouble();
    down(log);
    const { client } = startClient(log, { outboxBytesMax: 65_536, onOutage: { deny: ["app.thing"] } });
    const context = { text: "x".repeat(7000) };
    const events = Array.from({ length: 20 }, async () => client.record({ type: "app.other", context }).catch(() => 0));
    await Promise.all(events);
    await expect(client.record({ type: "app.thing", context })).rejects.toThrow(AuditUnavailableError);
    await expect(client.record({ type: "app.other", context })).rejects.toMatchObject({ code: "outbox-full" });
  });

  test("passes where it tells of what was not done", async () => {
    const log = new LogDouble();
    down(log);
    const { client } = startClient(log);
    await client.record(login());
    await until(() => client.status().state === "offline", "offline");
    expect((await client.record({ ...EXPORT, outcome: "denied" })).state).toBe("queued");
    expect((await client.record({ ...EXPORT, outcome: "failure" })).state).toBe("queued");
  });

  test("is refused with its defects where it has any, before anything is waited for", async () => {
    const { client } = startClient(new LogDouble());
    await expect(client.record({ type: "access.export", outcome: "success" })).rejects.toMatchObject({
      code: "event-invalid",
    });
  });

  test("can be tried again", async () => {
    const log = new LogDouble();
    log.hooks.intercept = ({ path }) => (path === "v1/events" ? problem(503, "log-overloaded") : undefined);
    const { client } = startClient(log);
    await client.record(login());
    await until(() => client.status().state === "offline", "offline");
    await expect(client.record(EXPORT)).rejects.toThrow(AuditUnavailableError);
    log.hooks = {};
    await until(() => client.status().state === "ok", "ok");
    expect((await client.record(EXPORT)).state).toBe("durable");
  });
});

test("a default of deny holds all but what is allowed", async () => {
  const { client } = startClient(new LogDouble(), { onOutage: { default: "deny", allow: ["auth.login"] } });
  expect((await client.record({ type: "app.thing" })).state).toBe("durable");
  expect((await client.record(login())).state).toBe("queued");
  expect(["app.thing", "auth.login"].map((type) => client.isHeld(type))).toEqual([true, false]);
});

test("rules that contradict themselves are refused", () => {
  expect(() => resolveOutageRules({ deny: ["a.b"], allow: ["a.b"] })).toThrow("a.b is in deny and in allow");
  expect(() => resolveOutageRules({ default: "maybe" as "allow" })).toThrow("expected allow or deny");
});

describe("TALLYSTICK_BREAK_GLASS", () => {
  test("lets through what would be denied, and the log says so and why", async () => {
    const log = new LogDouble();
    const sent = collect(log);
    down(log);
    const { client } = startClient(log);
    await client.record(login());
    await until(() => client.status().state === "offline", "offline");
    process.env["TALLYSTICK_BREAK_GLASS"] = "fire in the\r\ndata centre";
    const recorded = await client.record(EXPORT);
    expect(recorded.state).toBe("queued");
    expect(client.status().counters).toMatchObject({ brokenGlass: 1, denied: 0 });
    delete log.hooks.intercept;
    await client.flush();
    expect(sent.map(({ type }) => type)).toEqual([
      "stream.start",
      "auth.login",
      "access.export",
      "tallystick.break-glass",
    ]);
    expect(sent.at(-1)).toMatchObject({
      reason: "fire in the data centre",
      actor: { id: "u_1" },
      operation: recorded.id,
      context: { type: "access.export", event: recorded.id, code: "audit-unavailable" },
    });
  });

  test("says nothing while the log is there", async () => {
    const log = new LogDouble();
    const sent = collect(log);
    process.env["TALLYSTICK_BREAK_GLASS"] = "just in case";
    const { client } = startClient(log);
    expect((await client.record(EXPORT)).state).toBe("durable");
    expect(sent.map(({ type }) => type)).toEqual(["stream.start", "access.export"]);
  });

  test("lets through what not even the outbox takes, says unrecorded and counts it", async () => {
    const log = new LogDouble();
    down(log);
    process.env["TALLYSTICK_BREAK_GLASS"] = "disk full too";
    const { client, errors } = startClient(log, { outboxBytesMax: 65_536 });
    const context = { text: "x".repeat(7000) };
    await Promise.allSettled(Array.from({ length: 20 }, async () => client.record({ type: "app.other", context })));
    expect((await client.record({ ...EXPORT, context })).state).toBe("unrecorded");
    expect(client.status().counters).toMatchObject({ brokenGlass: 1, unrecorded: 1 });
    expect(errors.at(-1)).toMatchObject({ code: "outbox-full" });
  });
});

describe("errors", () => {
  test("have classes that callers can tell apart", () => {
    const unavailable = clientError("audit-unavailable", "x");
    expect(unavailable).toBeInstanceOf(AuditUnavailableError);
    expect(unavailable).toBeInstanceOf(ClientError);
    expect(unavailable.name).toBe("AuditUnavailableError");
    expect(clientError("outbox-full", "x")).not.toBeInstanceOf(AuditUnavailableError);
  });

  test("a fork stops the sending and not the queueing, with the evidence in a LogForkedError", async () => {
    const log = new LogDouble();
    const { client, errors } = startClient(log);
    await client.record(login(), { until: "witnessed" });
    const [first = new Uint8Array(), second = new Uint8Array()] = log.leaves;
    log.replaceLeaves([second, first]);
    await client.record(login("u_2"));
    await until(() => client.status().state === "halted", "halted");
    const forked = errors.find((error) => error instanceof LogForkedError);
    expect(JSON.parse(forked?.evidence ?? "")).toMatchObject({ origin: log.origin });
    expect((await client.record(login("u_3"))).state).toBe("queued");
    expect(client.status().counters.errors).toMatchObject({ "log-forked": 1 });
    await expect(client.record(EXPORT)).rejects.toThrow(AuditUnavailableError);
  });
});

test("above ten failures a minute the log gets one event with their count", async () => {
  const log = new LogDouble();
  const sent = collect(log);
  let now = Date.now();
  const { client } = startClient(log, { now: () => now });
  const failure: Report = {
    type: "auth.login",
    outcome: "failure",
    actor: { type: "unverified", id: "ann@example.org" },
    source: { ip: "192.0.2.7" },
    reason: "wrong password",
  };
  const recorded: Recorded[] = [];
  for (let at = 0; at < 25; at += 1) recorded.push(await client.record(failure));
  expect(recorded.map(({ counted }) => counted ?? 0)).toEqual([
    ...Array<number>(10).fill(0),
    ...Array.from({ length: 15 }, (_, at) => at + 1),
  ]);
  expect(recorded.slice(10).every(({ id }) => id === recorded[9]?.id)).toBe(true);
  now += 60_000;
  await client.record(failure);
  await client.flush();
  const failures = sent.filter(({ type }) => type === "auth.login");
  expect(failures).toHaveLength(12);
  const summary = failures.find(({ context }) => context !== undefined);
  expect(summary).toMatchObject({ outcome: "failure", reason: "wrong password", context: { count: 15 } });
  expect(new Set(failures.map(({ actor }) => actor?.id)).size).toBe(1);
  expect(failures[0]?.actor?.id).toMatch(/^[0-9a-f]{64}$/);
  expect(client.status().counters).toMatchObject({ counted: 15 });
});

test("what was counted is told when the client closes", async () => {
  const log = new LogDouble();
  const sent = collect(log);
  const { client } = startClient(log, { failuresPerMinute: 1 });
  const failure: Report = { ...login(), outcome: "failure" };
  for (let at = 0; at < 5; at += 1) await client.record(failure);
  await client.close();
  expect(sent.map(({ type, context }) => [type, context?.["count"]])).toEqual([
    ["stream.start", undefined],
    ["auth.login", undefined],
    ["auth.login", 4],
    ["stream.end", undefined],
  ]);
});

test("context over 8 KiB is cut, marked and counted, and the rest of it is there", async () => {
  const log = new LogDouble();
  const sent = collect(log);
  const { client } = startClient(log);
  await client.record(
    { type: "app.thing", context: { step: "start", dump: "x".repeat(20_000) } },
    { until: "durable" },
  );
  expect(sent.at(-1)?.context).toMatchObject({
    step: "start",
    dump: expect.stringMatching(/^x{8000,}…$/),
    _cut: { bytes: 20_026 },
  });
  expect(client.status().counters).toMatchObject({ cutContexts: 1, recorded: 1, acknowledged: 2 });
});

/** Sessions over the SDK and a real log. */
import { createTestTallystick } from "@tallystick/testing";
import { describe, expect, test } from "vitest";
import { createMemorySessionStore } from "@tallystick/sessions";
import { HOUR, MINUTE, T0, USUAL } from "./support/policies.ts";

describe("tally.sessions", () => {
  test("is there where this package is imported, and reports to the client's log", async () => {
    await using tally = createTestTallystick();
    await using sessions = tally.sessions({ idle: "30m", absolute: "8h" });
    const { token, session } = await sessions.start({ user: "u1", factors: ["password"], source: { ip: "192.0.2.7" } });
    await tally.auth.login({ outcome: "success", actor: { type: "user", id: "u1" }, session: { id: session.auditId } });
    await sessions.end(token);
    await sessions.flush();
    await tally.expect({
      type: "session.start",
      session: { id: session.auditId },
      context: { n: 0, idleMs: 30 * MINUTE },
    });
    await tally.expect({ type: "session.end", reason: "logout", session: { id: session.auditId }, context: { n: 1 } });
    await tally.expect({ type: "auth.login", session: { id: session.auditId } });
    const { hash } = await sessions.limits();
    await tally.expect({ type: "session.policy", context: { hash } });
  });

  test("every entry is an event that the log takes, with the store's time", async () => {
    let now = T0;
    await using tally = createTestTallystick();
    const store = createMemorySessionStore({ now: () => now });
    await using sessions = tally.sessions({ ...USUAL, store, sweepIntervalMs: 0 });
    const { token } = await sessions.start({ user: "u1", tenant: "acme", factors: ["password"] });
    now += MINUTE;
    await sessions.check(token);
    now += 9 * MINUTE + 30_000;
    await sessions.confirmWarning(token);
    now += 10_000;
    await sessions.extend(token);
    await sessions.check(token, { reauth: { maxAge: "5m", factors: ["otp"] } });
    const { token: second = "" } = await sessions.reauth(token, { factors: ["otp"] });
    const { token: third = "" } = await sessions.check(second, { class: "high" });
    now += HOUR;
    await sessions.check(third);
    await sessions.check(third);
    await sessions.flush();
    await tally.flush({ until: "published" });
    const told = tally.events.filter(({ type }) => type !== "session.policy" && !type.startsWith("stream."));
    expect(told.map(({ type }) => type)).toEqual([
      "session.start",
      "session.activity",
      "session.warning",
      "session.extend",
      "access.denied",
      "session.reauth",
      "session.rotate",
      "session.class",
      "session.rotate",
      "session.timeout",
      "session.use_after_expiry",
    ]);
    expect(told.map(({ context }) => context?.["n"])).toEqual(told.map((_, at) => at));
    expect(Date.parse(told.at(-1)?.time ?? "")).toBe(now);
  });
});

/** A misspelt option would leave a laxer default in force, unseen: each is refused where it is given. */
import { IncomingMessage, ServerResponse } from "node:http";
import { Socket } from "node:net";
import { Hono } from "hono";
import { describe, expect, onTestFinished, test } from "vitest";
import { type Sessions, createMemorySessionStore, createSessions } from "@tallystick/sessions";
import * as express from "@tallystick/sessions/express";
import * as fastify from "@tallystick/sessions/fastify";
import * as hono from "@tallystick/sessions/hono";
import { createTestTallystick } from "@tallystick/testing";
import { USUAL } from "./support/policies.ts";
import { EventList, scene } from "./support/setup.ts";

describe("createSessions", () => {
  test.each([
    [{ idel: "5m" }, "idel: no option has this name: did you mean idle?"],
    [{ absolut: "5m" }, "absolut: no option has this name: did you mean absolute?"],
    [{ store: {} }, "store: expected a SessionStore, and it has no now()"],
    [{ store: { ...createMemorySessionStore(), due: 1 } }, "store: expected a SessionStore, and it has no"],
    ["30m", "options: expected an object with preset, idle, "],
  ])("refuses %j", (options, message) => {
    const create = (): unknown => createSessions(new EventList(), options as object);
    expect(create).toThrow(TypeError);
    expect(create).toThrow(message);
  });

  test.each([undefined, {}, null])("refuses %j in the place of a log", (log) => {
    expect(() => createSessions(log as never)).toThrow("tally: expected what createTallystick gives");
  });

  test("other limits are as strictly read", async () => {
    const { sessions } = scene();
    await expect(sessions.setLimits({ idel: "5m" } as object)).rejects.toThrow("did you mean idle?");
  });
});

describe("a call", () => {
  test.each<[string, (sessions: Sessions) => Promise<unknown>, string]>([
    [
      "check",
      (sessions) => sessions.check(undefined as never),
      "credential: expected a token or sessionById(id), got undefined",
    ],
    [
      "extend",
      (sessions) => sessions.extend(null as never),
      "credential: expected a token or sessionById(id), got null",
    ],
    ["look", (sessions) => sessions.look({} as never), "credential: expected a token or sessionById(id), got object"],
    ["start", (sessions) => sessions.start(undefined as never), "options: expected an object with source, user"],
    ["start", (sessions) => sessions.start({} as never), "user: expected the user's id, got undefined"],
    ["start", (sessions) => sessions.start({ user: "u1", clas: "high" } as never), "clas: no option has this name"],
    ["check", (sessions) => sessions.check("t", { reauht: { maxAge: "5m" } } as never), "did you mean reauth?"],
    ["extend", (sessions) => sessions.extend("t", { ip: "192.0.2.7" } as never), "ip: no option has this name"],
    [
      "confirmWarning",
      (sessions) => sessions.confirmWarning("t", 7 as never),
      "options: expected an object with source",
    ],
    [
      "reauth",
      (sessions) => sessions.reauth("t", undefined as never),
      "options: expected an object with source, factors",
    ],
    ["reauth", (sessions) => sessions.reauth("t", {} as never), "factors: expected a list such as"],
    ["end", (sessions) => sessions.end("t", { reson: "revoked" } as never), "reson: no option has this name"],
    ["endAll", (sessions) => sessions.endAll("u1", { exept: "s1" } as never), "exept: no option has this name"],
    [
      "start",
      (sessions) => sessions.start({ user: "u1", factors: "otp" } as never),
      "factors: expected a list such as",
    ],
    ["reauth", (sessions) => sessions.reauth("t", { factors: "otp" } as never), "factors: expected a list such as"],
    [
      "end",
      (sessions) => sessions.end("t", { reason: "bye" } as never),
      'reason: expected logout or revoked, got "bye"',
    ],
    ["list", (sessions) => sessions.list(undefined as never), "user: expected the user's id, got undefined"],
    ["endAll", (sessions) => sessions.endAll(7 as never), "user: expected the user's id, got 7"],
  ])("%s says what it expected, and nothing is in the log", async (_name, call, message) => {
    const { sessions, log } = scene();
    await expect(call(sessions)).rejects.toThrow(message);
    await expect(call(sessions)).rejects.toBeInstanceOf(TypeError);
    await sessions.flush();
    expect(log.of()).toEqual([]);
  });
});

type Handler = (...args: readonly unknown[]) => Promise<unknown>;

/** What a handler throws, called with what stands for a request in a framework. */
async function thrownBy(frameworkName: string, handler: Handler): Promise<unknown> {
  const caught = async (...exchange: readonly unknown[]): Promise<unknown> =>
    handler(...exchange).catch((error: unknown) => error);
  if (frameworkName === "hono") {
    let error: unknown;
    const app = new Hono().get("/", async (context) => {
      error = await caught(context);
      return context.text("");
    });
    await app.request("/");
    return error;
  }
  const request = new IncomingMessage(new Socket());
  const response = new ServerResponse(request);
  return frameworkName === "express" ? caught(request, response) : caught({ raw: request }, { raw: response });
}

describe.each(Object.entries({ hono, express, fastify }))("%s", (frameworkName, framework) => {
  const { audit, guard, guardUpgrade, sessionRoutes } = framework;

  test.each([
    [{ clas: "high" }, "clas: no option has this name: did you mean class?"],
    [{ trustProxy: 1 }, "trustProxy: no option has this name: expected class, reauth, activity"],
    [{ reauth: { maxAge: "5m", factor: ["otp"] } }, "reauth.factor: no option has this name: did you mean factors?"],
    [{ reauth: { maxAge: "5m", factors: "otp" } }, 'reauth.factors: expected a list such as ["otp"], got "otp"'],
    [{ reauth: "5m" }, "reauth: expected an object with maxAge, factors, got string"],
    [{ class: "hihg" }, 'class: expected one of default, high, long, got "hihg": did you mean high?'],
    [{ class: "HIGH" }, 'got "HIGH": did you mean high?'],
    [{ class: "constructor" }, 'class: expected one of default, high, long, got "constructor"'],
    [{ class: 7 }, "class: expected one of default, high, long, got 7"],
  ])("a guard refuses %j", (options, message) => {
    const { sessions } = scene();
    expect(() => guard(sessions, options as object)).toThrow(message);
  });

  test("a guard's class is one of the limits that were given last, by then or at the start, or of a tenant", async () => {
    const { sessions } = scene({ ...USUAL, tenants: { strict: { classes: { paying: { idle: "1m" } } } } });
    for (const name of ["default", "high", "paying"]) expect(() => guard(sessions, { class: name })).not.toThrow();
    expect(() => guardUpgrade(sessions, { class: "secret" })).toThrow(
      "class: expected one of default, high, long, paying",
    );
    await sessions.setLimits({ ...USUAL, classes: { secret: { idle: "1m" } } });
    expect(() => guardUpgrade(sessions, { class: "secret" })).not.toThrow();
    expect(() => guard(sessions, { class: "long" })).toThrow("class: expected one of default, secret, high, got");
  });

  test("what is behind a guard needs sessions, and audit a log", () => {
    const tally = createTestTallystick();
    onTestFinished(async () => tally.close());
    expect(() => guard(tally as never)).toThrow("guard: expected what createSessions gives, got object");
    expect(() => sessionRoutes(undefined as never)).toThrow(
      "sessionRoutes: expected what createSessions gives, got nothing",
    );
    expect(() => audit(scene().sessions as never)).toThrow("audit: expected what createTallystick gives, got object");
    expect(() => audit(tally, { trustproxy: 1 } as object)).toThrow("did you mean trustProxy?");
    expect(() => audit(tally, { cookie: { nam: "x" } as object })).toThrow(
      "cookie.nam: no option has this name: did you mean name?",
    );
  });

  test("what begins, confirms or ends a session says that it is not told of which sessions", async () => {
    const { startSession, reauthSession, endSession } = framework as unknown as Record<string, Handler>;
    const given: readonly (readonly [unknown, string])[] = [
      [{ user: "u1", factors: [] }, "nothing"],
      [undefined, "nothing"],
      [{ sessions: {} }, "object"],
    ];
    for (const [options, got] of given) {
      for (const [name, handler] of Object.entries({ startSession, reauthSession, endSession })) {
        const error = await thrownBy(frameworkName, async (...exchange) => handler?.(...exchange, options));
        expect(error).toEqual(new TypeError(`${name}: sessions: expected what createSessions gives, got ${got}`));
      }
    }
  });

  test("a guard of WebSockets takes the options of both", () => {
    const { sessions } = scene();
    expect(() => guardUpgrade(sessions, { trustProxy: 1, cookie: { name: "x" }, class: "high" })).not.toThrow();
    expect(() => guardUpgrade(sessions, { trustproxy: 1 } as object)).toThrow("did you mean trustProxy?");
  });
});

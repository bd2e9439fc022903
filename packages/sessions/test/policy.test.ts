import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import {
  type SessionPolicyOptions,
  formatPolicy,
  hashPolicy,
  limitsFor,
  parseDuration,
  parsePolicyDocument,
  parsePolicyOptions,
  warningMsOf,
} from "@tallystick/sessions";
import { rejectionCode } from "../../../test/support/errors.ts";
import { HOUR, MINUTE, USUAL } from "./support/policies.ts";

describe("parseDuration", () => {
  test.each([
    ["1ms", 1],
    ["20s", 20_000],
    ["30m", 1_800_000],
    ["8h", 28_800_000],
    ["30d", 2_592_000_000],
  ])("reads %s", (text, ms) => {
    expect(parseDuration("idle", text)).toBe(ms);
  });

  test.each(["", "30", "m", "-1m", "1.5h", "030m", "1e3s", " 30m", "30M", "30min"])("refuses %j", (text) => {
    expect(() => parseDuration("idle", text)).toThrow(/^idle: expected a duration such as "30m", got /);
  });

  test.each(["0m", "3651d", "999999999999999d"])("refuses %s as out of range", (text) => {
    expect(() => parseDuration("absolute", text)).toThrow(RangeError);
  });
});

describe("parsePolicyOptions", () => {
  test.each([
    ["aal1", null, 30 * 24 * HOUR],
    ["aal2", HOUR, 24 * HOUR],
    ["aal3", 15 * MINUTE, 12 * HOUR],
  ] as const)("has the limits of NIST SP 800-63B-4 for %s", (preset, idleMs, absoluteMs) => {
    expect(parsePolicyOptions({ preset })).toMatchObject({ idleMs, absoluteMs });
  });

  test("begins at aal2, warns a minute before, counts requests and lets a user have many sessions", () => {
    const policy = parsePolicyOptions({});
    expect(policy).toMatchObject({ idleMs: HOUR, absoluteMs: 24 * HOUR, warningMs: 60_000 });
    expect(policy).toMatchObject({ activity: "requests", concurrent: null });
  });

  test("takes what is given in the place of the preset's", () => {
    expect(parsePolicyOptions({ preset: "aal3", idle: "none", absolute: "30d" })).toMatchObject({
      idleMs: null,
      absoluteMs: 30 * 24 * HOUR,
    });
  });

  const wrong: readonly [SessionPolicyOptions, string][] = [
    [{ warning: "19s" }, "warning: expected 20s or more, as WCAG 2.2.1 asks for, got"],
    [
      { classes: { high: { iddle: "5m" } as object } },
      "classes.high.iddle: no option has this name: did you mean idle?",
    ],
    [{ classes: { high: "5m" as never } }, "classes.high: expected an object with idle, absolute, got string"],
    [{ tenants: { acme: { idel: "5m" } as object } }, "tenants.acme.idel: no option has this name: did you mean idle?"],
    [{ concurrent: { max: 1, beyond: "deny-new", per: 1 } as never }, "concurrent.per: no option has this name"],
    [{ classes: { High: {} } }, "classes: expected names of a-z, 0-9 and -, got"],
    [{ tenants: { "a@example.org": {} } }, "tenants: expected ids that are no e-mail addresses, got"],
    [{ classes: { default: {} } }, 'classes: expected the limits of "default" beside classes'],
    [{ concurrent: { max: 0, beyond: "deny-new" } }, "concurrent.max: expected a whole number from 1 to 1000, got 0"],
    [{ classes: { high: { idle: "5" as "5m" } } }, 'classes.high.idle: expected a duration such as "30m", got "5"'],
  ];
  test.each(wrong)("refuses %j", (options, message) => {
    expect(() => parsePolicyOptions(options)).toThrow(message);
  });

  test("refuses a document that the SDK would cut, with its size", () => {
    const tenants = Object.fromEntries(
      Array.from({ length: 200 }, (_, at) => [`tenant-${at}`, { idle: "5m" as const }]),
    );
    expect(() => parsePolicyOptions({ tenants })).toThrow(/expected a document of at most 7168 bytes, got \d+/);
  });
});

describe("limitsFor", () => {
  const policy = parsePolicyOptions(USUAL);

  test.each([
    ["a stranger", undefined, [], 30 * MINUTE, 8 * HOUR],
    ["a stranger in a class", undefined, ["high"], 5 * MINUTE, HOUR],
    ["a class that would be laxer", undefined, ["long"], 30 * MINUTE, 8 * HOUR],
    ["a tenant", "acme", [], 10 * MINUTE, 8 * HOUR],
    ["a tenant with a class of its own", "acme", ["high"], 2 * MINUTE, HOUR],
    ["a class that nobody named", undefined, ["constructor"], 30 * MINUTE, 8 * HOUR],
    ["a tenant that nobody named", "__proto__", [], 30 * MINUTE, 8 * HOUR],
  ] as const)("S3 takes the strictest of default, tenant and class: %s", (_, tenant, classes, idleMs, absoluteMs) => {
    expect(limitsFor(policy, { tenant, classes })).toEqual({ idleMs, absoluteMs });
  });
});

describe("formatPolicy", () => {
  test("writes one text whatever the order of the options, whose SHA-256 is the hash", () => {
    const one = formatPolicy(parsePolicyOptions({ classes: { b: { idle: "5m" }, a: {} }, tenants: { 10: {}, 9: {} } }));
    const other = formatPolicy(
      parsePolicyOptions({ tenants: { 9: {}, 10: {} }, classes: { a: {}, b: { idle: "5m" } } }),
    );
    expect(one).toBe(other);
    expect(hashPolicy(one)).toBe(createHash("sha256").update(one).digest("hex"));
    expect(one).toContain('"tenants":{"10":');
  });

  test("is what parsePolicyDocument reads, to the byte", async () => {
    const document = formatPolicy(parsePolicyOptions(USUAL));
    expect(formatPolicy(parsePolicyDocument(document))).toBe(document);
    const others = [
      `${document} `,
      document.replace(":1,", ":2,"),
      document.replace("1800000", "1.5"),
      "{}",
      "[",
      "null",
    ];
    for (const other of others) {
      const read = Promise.resolve().then(() => parsePolicyDocument(other));
      expect(await rejectionCode(read)).toBe("session-state-corrupt");
    }
  });
});

test("S5 warns a minute before, later where the session may be idle for a short time only, never under 20 s", () => {
  const policy = parsePolicyOptions({});
  const warningMs = (idleMs: number | null): number => warningMsOf(policy, { idleMs, absoluteMs: HOUR });
  expect([HOUR, 2 * MINUTE, MINUTE, 10_000, null].map(warningMs)).toEqual([60_000, 60_000, 30_000, 20_000, 60_000]);
});

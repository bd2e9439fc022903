import { decodeHex } from "@tallystick/core";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  CERTIFICATE_LIMITS,
  CERTIFICATE_TYPE,
  type Certificate,
  type Chain,
  type Context,
  EVENT_BYTES_MAX,
  EventError,
  type Leaf,
  certificateContext,
  coversLeaf,
  decodeEvent,
  encodeEvent,
  parseCertificate,
  parseEvent,
} from "../src/index.ts";
import { anyCertificate } from "./any-certificate.ts";

const DAY_MS = 86_400_000;
const DAY = 20_413;
const TAG = "0123456789abcdef0123456789abcdef";

const ofDay: Certificate = {
  request: "019aa56d-6000-7000-8000-000000000009",
  ground: "retention",
  state: "ordered",
  before: 100,
  scope: { classDay: { class: "session", day: DAY, first: 3, last: 40, count: 12 } },
  keys: ["ab".repeat(32)],
  finalOn: "2026-11-28",
};
const ofPerson: Certificate = { ...ofDay, ground: "GDPR Art. 17", scope: { tags: [[TAG, 2, 40]] } };

/** The event that the log makes of it, encoded and read again. */
function logged(certificate: Certificate): ReturnType<typeof decodeEvent> {
  const input = { id: ofDay.request, time: DAY * DAY_MS, type: CERTIFICATE_TYPE, outcome: "success" } as const;
  return decodeEvent(encodeEvent(parseEvent({ ...input, context: certificateContext(certificate) })));
}

function refusal(work: () => unknown): unknown {
  try {
    work();
  } catch (error) {
    if (error instanceof EventError && error.code === "certificate-malformed") return error.details["field"];
    throw error;
  }
  return "taken";
}

function chain(tag: string): Chain {
  return { tag: decodeHex(tag), n: 0, prev: null };
}

function leafOf(fields: Partial<Leaf>): Leaf {
  return {
    loggedAt: DAY * DAY_MS,
    stream: new Uint8Array(16),
    sequence: null,
    class: "session",
    commitment: new Uint8Array(32),
    session: null,
    actor: null,
    subject: null,
    tenant: null,
    signature: null,
    ...fields,
  };
}

describe("certificate", () => {
  test("is read from the event as it was put there, and fits into the event within all its bounds", () => {
    fc.assert(
      fc.property(anyCertificate, (certificate) => {
        expect(parseCertificate(logged(certificate))).toEqual(certificate);
      }),
      { numRuns: 60 },
    );
  });

  test("with every bound reached at once it is below 32 KiB", () => {
    const before = Number.MAX_SAFE_INTEGER;
    const certificate: Certificate = {
      ...ofPerson,
      before,
      ground: "😀".repeat(CERTIFICATE_LIMITS.groundCharsMax),
      by: "😀".repeat(CERTIFICATE_LIMITS.credentialCharsMax),
      approvedBy: "😀".repeat(CERTIFICATE_LIMITS.credentialCharsMax),
      part: 1_000_000,
      parts: 1_000_000,
      keys: Array.from({ length: CERTIFICATE_LIMITS.keysMax }, (_, at) => at.toString(16).padStart(64, "0")),
      kept: Array.from({ length: CERTIFICATE_LIMITS.keptMax }, (_, at) => [
        String(at).padStart(32, "a"),
        Number.MAX_SAFE_INTEGER,
      ]),
      scope: {
        tags: Array.from({ length: CERTIFICATE_LIMITS.tagsMax }, (_, at) => [
          `f${at.toString(16).padStart(31, "0")}`,
          before,
          before - 1,
        ]),
      },
    };
    const size = encodeEvent(logged(certificate)).length;
    expect(size).toBeGreaterThan(30_000);
    expect(size).toBeLessThan(EVENT_BYTES_MAX);
  });

  test.each<[string, Partial<Certificate> | Record<string, unknown>]>([
    ["request", { request: "019aa56d-6000-4000-8000-000000000009" }],
    ["request", { request: "019AA56D-6000-7000-8000-000000000009" }],
    ["ground", { ground: "" }],
    ["ground", { ground: "one\nof two lines" }],
    ["ground", { ground: "g".repeat(1025) }],
    ["state", { state: "planned" }],
    ["before", { before: -1 }],
    ["before", { before: "100" }],
    ["scope", { scope: {} }],
    ["scope", { scope: { tags: [], classDay: { class: "a", day: 1, first: 0, last: 0, count: 1 } } }],
    ["scope", { scope: { person: "u_81" } }],
    ["scope.classDay", { scope: { classDay: { class: "a", day: 1, first: 0, last: 0, count: 1, of: "u_81" } } }],
    ["scope.classDay.class", { scope: { classDay: { class: "A", day: 1, first: 0, last: 0, count: 1 } } }],
    ["scope.classDay.day", { scope: { classDay: { class: "a", day: -1, first: 0, last: 0, count: 1 } } }],
    ["scope.classDay.first", { scope: { classDay: { class: "a", day: 1, first: 5, last: 4, count: 1 } } }],
    ["scope.classDay.last", { scope: { classDay: { class: "a", day: 1, first: 5, last: 100, count: 2 } } }],
    ["scope.classDay.count", { scope: { classDay: { class: "a", day: 1, first: 5, last: 7, count: 4 } } }],
    ["scope.classDay.count", { scope: { classDay: { class: "a", day: 1, first: 5, last: 7, count: 1 } } }],
    ["scope.tags[0].tag", { scope: { tags: [["0123", 1, 4]] } }],
    ["scope.tags[0].count", { scope: { tags: [[TAG, 6, 4]] } }],
    ["scope.tags[0].count", { scope: { tags: [[TAG, 0, 4]] } }],
    ["scope.tags[0].last", { scope: { tags: [[TAG, 1, 100]] } }],
    ["scope.tags[0]", { scope: { tags: [[TAG, 1]] } }],
    [
      "scope.tags",
      {
        scope: {
          tags: [
            [TAG, 1, 4],
            [TAG, 1, 4],
          ],
        },
      },
    ],
    ["scope.tags", { scope: { tags: TAG } }],
    ["keys", { keys: [] }],
    ["keys", { keys: [ofDay.keys[0], ofDay.keys[0]] }],
    ["keys[0]", { keys: ["AB".repeat(32)] }],
    ["finalOn", { finalOn: "2026-02-30" }],
    ["finalOn", { finalOn: "28.11.2026" }],
    ["part", { part: 3, parts: 2 }],
    ["part", { parts: 2 }],
    ["parts", { part: 1 }],
    ["parts", { state: "done", ordered: 100, part: 1, parts: 1 }],
    ["ordered", { state: "done" }],
    ["ordered", { state: "done", ordered: -1 }],
    ["ordered", { ordered: 100 }],
    ["kept[0].count", { kept: [["access", 0]] }],
    [
      "kept",
      {
        kept: [
          ["access", 1],
          ["access", 2],
        ],
      },
    ],
    ["by", { by: "" }],
    ["approvedBy", { approvedBy: "b".repeat(257) }],
    ["context", { subject: "u_81" }],
  ])("is refused at %s: %j", (field, change) => {
    const context = { ...certificateContext(ofDay), ...change } as Context;
    expect(refusal(() => parseCertificate({ type: CERTIFICATE_TYPE, context }))).toBe(field);
  });

  test("is what an event of no other type says, and no certificate is without context", () => {
    const context = certificateContext(ofDay);
    expect(refusal(() => parseCertificate({ type: "log.retention", context }))).toBe("type");
    expect(refusal(() => parseCertificate({ type: CERTIFICATE_TYPE }))).toBe("state");
  });

  test("that would be refused is not written", () => {
    expect(refusal(() => certificateContext({ ...ofDay, keys: [] }))).toBe("keys");
  });

  test("messages do not repeat what a malformed one says, but for numbers", () => {
    const context = { ...certificateContext(ofDay), subject: "u_81", u_82: 1 };
    expect(() => parseCertificate({ type: CERTIFICATE_TYPE, context })).toThrow(/^(?!.*u_8).*$/s);
    const named = { ...certificateContext(ofDay), request: "u_81" };
    expect(() => parseCertificate({ type: CERTIFICATE_TYPE, context: named })).toThrow(/^(?!.*u_8).*$/s);
  });
});

describe("coversLeaf", () => {
  test("a class-day covers the entries of its class and of its day of logged-at, and no others", () => {
    expect(coversLeaf(ofDay, 7, leafOf({}))).toBe(true);
    expect(coversLeaf(ofDay, 7, leafOf({ loggedAt: (DAY + 1) * DAY_MS - 1 }))).toBe(true);
    expect(coversLeaf(ofDay, 7, leafOf({ loggedAt: (DAY + 1) * DAY_MS }))).toBe(false);
    expect(coversLeaf(ofDay, 7, leafOf({ loggedAt: DAY * DAY_MS - 1 }))).toBe(false);
    expect(coversLeaf(ofDay, 7, leafOf({ class: "auth" }))).toBe(false);
  });

  test("a person's tags cover entries below before, by the subject's tag and else by the actor's", () => {
    const other = "f".repeat(32);
    expect(coversLeaf(ofPerson, 99, leafOf({ actor: chain(TAG) }))).toBe(true);
    expect(coversLeaf(ofPerson, 100, leafOf({ actor: chain(TAG) }))).toBe(false);
    expect(coversLeaf(ofPerson, 7, leafOf({ actor: chain(other), subject: chain(TAG) }))).toBe(true);
    expect(coversLeaf(ofPerson, 7, leafOf({ actor: chain(TAG), subject: chain(other) }))).toBe(false);
    expect(coversLeaf(ofPerson, 7, leafOf({ session: chain(TAG), tenant: chain(TAG) }))).toBe(false);
    expect(coversLeaf(ofPerson, 7, leafOf({}))).toBe(false);
  });

  test("what the log says of itself is covered by no certificate, a person's or a day's: the record of reads stays", () => {
    expect(coversLeaf(ofPerson, 7, leafOf({ class: "log", actor: chain(TAG) }))).toBe(false);
    const ofLog = { ...ofDay, scope: { classDay: { class: "log", day: DAY, first: 7, last: 7, count: 1 } } };
    expect(coversLeaf(ofLog, 7, leafOf({ class: "log" }))).toBe(false);
  });
});

/** The value with what stands somewhere within it replaced. */
function replaced(value: unknown, path: readonly number[], other: unknown): unknown {
  const [step, ...rest] = path;
  if (step === undefined || typeof value !== "object" || value === null) return other;
  const keys = Object.keys(value);
  const key = keys[step % Math.max(1, keys.length)];
  if (key === undefined) return other;
  const inner = replaced((value as Record<string, unknown>)[key], rest, other);
  if (Array.isArray(value)) return value.map((member: unknown, at) => (String(at) === key ? inner : member));
  return { ...value, [key]: inner };
}

test("whatever is read of an altered certificate is all that it says", () => {
  const other = fc.oneof(
    fc.constantFrom(
      null,
      true,
      -1,
      0,
      1,
      2 ** 53 - 1,
      "",
      "done",
      "ordered",
      [],
      {},
      [[]],
      { tags: [] },
      "0".repeat(64),
    ),
    fc.string(),
    fc.nat(),
  );
  const path = fc.array(fc.nat({ max: 20 }), { minLength: 1, maxLength: 4 });
  fc.assert(
    fc.property(fc.constantFrom(ofDay, ofPerson), path, other, (certificate, steps, value) => {
      const context = replaced(certificateContext(certificate), steps, value) as Context;
      const read = refusal(() => parseCertificate({ type: CERTIFICATE_TYPE, context }));
      if (read !== "taken") return;
      expect(certificateContext(parseCertificate({ type: CERTIFICATE_TYPE, context }))).toEqual(context);
    }),
    { numRuns: 2000 },
  );
});

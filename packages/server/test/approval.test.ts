import { randomBytes } from "node:crypto";
import { expect, test } from "vitest";
import { errorCode } from "../../../test/support/errors.ts";
import { Approvals } from "../src/approval.ts";

const ORIGIN = "log.example/app";
const DAY_MS = 86_400_000;
const SUBJECT = "canary-person@example.com";
const SEALED = { action: "erasure", by: "officer-1", state: "", input: { subject: SUBJECT } };

function place({ key = randomBytes(32), now = 1_800_000_000_000 } = {}): {
  approvals: Approvals;
  clock: { now: number };
} {
  const clock = { now };
  return { approvals: new Approvals({ key, mayOrder: () => true, now: () => clock.now }), clock };
}

test("a ticket opens to what was sealed, with an id of its own, for seven days", () => {
  const { approvals, clock } = place();
  const [first, second] = [approvals.seal(ORIGIN, SEALED), approvals.seal(ORIGIN, SEALED)];
  const made = clock.now;
  expect(first.validUntil).toBe(made + 7 * DAY_MS);
  expect(approvals.open(ORIGIN, first.approval)).toMatchObject({ ...SEALED, v: 1, at: made });
  expect(approvals.open(ORIGIN, first.approval).id).not.toBe(approvals.open(ORIGIN, second.approval).id);
  clock.now = first.validUntil;
  expect(approvals.open(ORIGIN, first.approval)).toMatchObject(SEALED);
  clock.now += 1;
  expect(errorCode(() => approvals.open(ORIGIN, first.approval))).toBe("approval-invalid");
});

test("a ticket shows nothing of what it holds", () => {
  const { approval } = place().approvals.seal(ORIGIN, SEALED);
  const text = Buffer.from(approval.slice(4), "base64url").toString("latin1");
  for (const word of [SUBJECT, "erasure", "officer"]) expect(text).not.toContain(word);
});

test("with any bit flipped, cut, or of another log or server, a ticket is none", () => {
  const { approvals } = place();
  const { approval } = approvals.seal(ORIGIN, SEALED);
  const codeOf = (text: string, origin = ORIGIN): string | undefined => errorCode(() => approvals.open(origin, text));
  const bytes = Buffer.from(approval.slice(4), "base64url");
  for (let bit = 0; bit < 8 * bytes.length; bit += 1) {
    const flipped = Buffer.from(bytes);
    flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    expect([bit, codeOf(`tsa_${flipped.toString("base64url")}`)]).toEqual([bit, "approval-invalid"]);
  }
  for (let length = 0; length < approval.length; length += 1)
    expect([length, codeOf(approval.slice(0, length))]).toEqual([length, "approval-invalid"]);
  for (const text of ["", "tsa_", `${approval}\n`, approval.slice(4), `${approval}=`, "tsa_".repeat(20)])
    expect([text, codeOf(text)]).toEqual([text, "approval-invalid"]);
  expect(codeOf(approval, "log.example/other")).toBe("approval-invalid");
  expect(errorCode(() => place().approvals.open(ORIGIN, approval))).toBe("approval-invalid");
});

test("a server whose clock was put back by weeks takes no ticket for a young one", () => {
  const { approvals, clock } = place();
  const { approval } = approvals.seal(ORIGIN, SEALED);
  clock.now -= 8 * DAY_MS;
  expect(errorCode(() => approvals.open(ORIGIN, approval))).toBe("approval-invalid");
});

test("refuses a key that is not 32 bytes long", () => {
  expect(() => place({ key: randomBytes(31) })).toThrow("key: expected 32 bytes, got 31");
});

import { encodeBase64, parsePolicy } from "@tallystick/core";
import { encodeLeaf } from "@tallystick/events";
import { describe, expect, test } from "vitest";
import { errorCode } from "../../../test/support/errors.ts";
import { formatForkEvidence, parseForkEvidence, verifyForkEvidence } from "../src/verify.ts";
import { LogDouble } from "./support/log-double.ts";

function logOf(count: number, class_: string): LogDouble {
  const log = new LogDouble();
  const leaf = {
    loggedAt: 1_760_000_000_000,
    stream: new Uint8Array(16),
    sequence: null,
    class: class_,
    commitment: new Uint8Array(32),
    session: null,
    actor: null,
    subject: null,
    tenant: null,
    signature: null,
  };
  log.replaceLeaves(Array.from({ length: count }, (_, at) => encodeLeaf({ ...leaf, loggedAt: leaf.loggedAt + at })));
  return log;
}

const one = logOf(5, "auth");
const two = logOf(5, "other");
const policy = parsePolicy(one.policyText);

function verdictOf(checkpoints: readonly [string, string], more: object = {}): { proven: boolean; reason: string } {
  const text = formatForkEvidence({ origin: one.origin, checkpoints, ...more });
  return verifyForkEvidence({ evidence: parseForkEvidence(text), policy });
}

describe("verifyForkEvidence", () => {
  test("two roots of one size prove it", () => {
    const verdict = verdictOf([one.checkpoint(), two.checkpoint()]);
    expect(verdict.proven).toBe(true);
    expect(verdict.reason).toContain("two trees of size 5");
  });

  test("the same head twice proves nothing", () => {
    expect(verdictOf([one.checkpoint(), one.checkpoint()]).proven).toBe(false);
  });

  test("two sizes alone prove nothing, whatever proof failed", () => {
    expect(verdictOf([one.checkpoint(3), two.checkpoint(5)]).proven).toBe(false);
    expect(
      verdictOf([one.checkpoint(3), one.checkpoint(5)], { proof: [encodeBase64(new Uint8Array(32))] }).proven,
    ).toBe(false);
  });

  test("a root at the smaller size that no proof shows proves nothing", () => {
    const rootHash = encodeBase64(new Uint8Array(32).fill(1));
    for (const proof of [[], [encodeBase64(new Uint8Array(32))], ["not base64"], [encodeBase64(new Uint8Array(31))]]) {
      expect(verdictOf([one.checkpoint(3), one.checkpoint(5)], { rootHash, proof }).proven).toBe(false);
    }
  });

  test("refuses heads that the log did not sign", () => {
    const forged = two.checkpoint().replace("\n5\n", "\n6\n");
    expect(errorCode(() => verdictOf([one.checkpoint(), forged]))).toBe("signature-invalid");
  });

  test.each([
    "",
    "{}",
    "[]",
    "null",
    `{"format":"tallystick/fork@2"}`,
    `{"format":"tallystick/fork@1","origin":"a","checkpoints":["b"]}`,
    `{"format":"tallystick/fork@1","origin":"a","checkpoints":["b","c"],"proof":[1]}`,
    `{"format":"tallystick/fork@1","origin":"a","checkpoints":["b","c"],"rootHash":1}`,
    `{"format":"tallystick/fork@1","origin":"a","checkpoints":["b","c"],"more":1}`,
    `{"format":"tallystick/fork@1","origin":"a","checkpoints":["b","c"],"__proto__":{}}`,
    `{"format":"tallystick/fork@1","origin":"a","origin":"a","checkpoints":["b","c"]}`,
    `{"format":"tallystick/fork@1","origin":"a","checkpoints":["d","e"],"checkpoints":["b","c"]}`,
    `{"format":"tallystick/fork@1","origin":"a","checkpoints":["d","e"],"\\u0063heckpoints":["b","c"]}`,
    `{"format":"tallystick/fork@1","origin":"a","checkpoints":["b","c"]} x`,
  ])("refuses %j as evidence", (text) => {
    expect(errorCode(() => parseForkEvidence(text))).toBe("evidence-malformed");
  });
});

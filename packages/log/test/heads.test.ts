import { describe, expect, test } from "vitest";
import { encodeCbor } from "@tallystick/events";
import { errorCode } from "../../../test/support/errors.ts";
import {
  type IntegratedHead,
  decodeIntegratedHead,
  decodeSignedHead,
  encodeIntegratedHead,
  encodeSignedHead,
} from "../src/heads.ts";

const head: IntegratedHead = {
  size: 3,
  rootHash: new Uint8Array(32).fill(1),
  hashes: [new Uint8Array(32).fill(2), new Uint8Array(32).fill(3)],
  loggedAt: 1_760_000_000_000,
  own: { publicKey: new Uint8Array(32).fill(4), instance: new Uint8Array(16).fill(5), nextSequence: 7 },
  headDue: true,
};
const signed = { size: 3, rootHash: new Uint8Array(32).fill(1), note: "note\n", signedAt: 1_760_000_000_000 };

describe("heads", () => {
  test("come back as they went", () => {
    expect(decodeIntegratedHead(encodeIntegratedHead(head))).toEqual(head);
    expect(decodeIntegratedHead(encodeIntegratedHead({ ...head, headDue: false }))).toEqual({
      ...head,
      headDue: false,
    });
    expect(decodeSignedHead(encodeSignedHead(signed))).toEqual(signed);
  });

  test.each([
    ["another version", encodeCbor([2, 3, head.rootHash, [], 1, [head.rootHash, head.rootHash, 7], true])],
    ["a field too few", encodeCbor([1, 3, head.rootHash, [], 1, [head.rootHash, head.rootHash, 7]])],
    ["text for a number", encodeCbor([1, "3", head.rootHash, [], 1, [head.rootHash, head.rootHash, 7], true])],
    ["no list", encodeCbor("x")],
  ])("of %s are refused", (_, bytes) => {
    expect(errorCode(() => decodeIntegratedHead(bytes))).toBe("log-corrupt");
    expect(errorCode(() => decodeSignedHead(bytes))).toBe("log-corrupt");
  });
});

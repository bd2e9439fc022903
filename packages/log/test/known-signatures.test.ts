/** Verifiers that remember: they say what the verifier itself says, of every note and every line. */
import { describe, expect, test } from "vitest";
import {
  type Verifier,
  createSigner,
  formatCheckpoint,
  parseNote,
  parsePolicy,
  parseVkey,
  signNote,
  verifyCheckpoint,
} from "@tallystick/core";
import { remembering, rememberSignatures } from "../src/known-signatures.ts";
import { seed } from "./site.ts";

const signer = createSigner({ name: "w.example/1", type: "ed25519-cosigner", seed: seed("w1") });

function counting(verifier: Verifier): { verifier: Verifier; count: () => number } {
  let count = 0;
  const verify: Verifier["verify"] = (note, signature) => {
    count += 1;
    return verifier.verify(note, signature);
  };
  return { verifier: { ...verifier, verify }, count: () => count };
}

function signed(
  size: number,
  timestamp = 1_760_000_000,
): { note: ReturnType<typeof parseNote>; signature: Uint8Array } {
  const text = formatCheckpoint({ origin: "log.example/test", size, rootHash: new Uint8Array(32) });
  const note = parseNote(signNote({ text, signers: [signer], timestamp }));
  return { note, signature: note.signatures[0]?.signature ?? new Uint8Array() };
}

describe("remembering", () => {
  test("what held is not verified again, and says the same", () => {
    const { verifier, count } = counting(parseVkey(signer.vkey));
    const known = remembering(verifier);
    const { note, signature } = signed(3);
    const claim = known.verify(note, signature);
    expect(claim).toEqual({ timestamp: 1_760_000_000n });
    expect(known.verify({ ...note }, signature.slice())).toEqual(claim);
    expect(count()).toBe(1);
  });

  test("another text, another signature and every flipped bit are verified, and refused each time", () => {
    const known = remembering(parseVkey(signer.vkey));
    const { note, signature } = signed(3);
    const other = signed(4);
    expect(known.verify(note, signature)).toBeDefined();
    for (let again = 0; again < 2; again += 1) {
      expect(known.verify(other.note, signature)).toBeUndefined();
      expect(known.verify(note, other.signature)).toBeUndefined();
      for (let at = 0; at < signature.length; at += 1) {
        const flipped = signature.slice();
        flipped[at] = (flipped[at] ?? 0) ^ 1;
        expect(known.verify(note, flipped)).toBeUndefined();
      }
    }
    expect(known.verify(other.note, other.signature)).toBeDefined();
  });

  test("bytes that are changed after they were given change nothing that is remembered", () => {
    const known = remembering(parseVkey(signer.vkey));
    const { note, signature } = signed(3);
    expect(known.verify(note, signature)).toBeDefined();
    signature[20] = (signature[20] ?? 0) ^ 1;
    expect(known.verify(note, signature)).toBeUndefined();
  });

  test("only the last few are remembered", () => {
    const { verifier, count } = counting(parseVkey(signer.vkey));
    const known = remembering(verifier);
    const heads = Array.from({ length: 10 }, (_, size) => signed(size + 1));
    for (const { note, signature } of heads) known.verify(note, signature);
    for (const { note, signature } of heads.slice(-4)) known.verify(note, signature);
    expect(count()).toBe(10);
    for (const { note, signature } of heads.slice(0, 6)) expect(known.verify(note, signature)).toBeDefined();
    expect(count()).toBe(16);
  });
});

test("policy and witnesses name one verifier for one key, and are otherwise as they were", () => {
  const log = createSigner({ name: "log.example/test", type: "ed25519", seed: seed("log") });
  const policy = parsePolicy(`log ${log.vkey}\nwitness w1 ${signer.vkey}\nquorum w1\n`);
  const witnesses = [{ name: "w1", url: "https://w.example", verifiers: [parseVkey(signer.vkey)] }];
  const remembered = rememberSignatures({ policy, witnesses });
  expect(remembered.witnesses[0]?.verifiers[0]).toBe(remembered.policy.witnesses[0]?.verifier);
  expect(remembered.policy.logs[0]?.verifier.vkey).toBe(log.vkey);
  const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value));
  expect(plain(remembered)).toEqual(plain({ policy, witnesses }));
});

test("the log's signature is not counted as that of a witness with the same key", () => {
  const origin = "log.example/test";
  const log = createSigner({ name: origin, type: "mldsa44", seed: seed("log") });
  const policy = parsePolicy(`log ${log.vkey}\nwitness w1 ${log.vkey}\nquorum w1\n`);
  const text = formatCheckpoint({ origin, size: 3, rootHash: new Uint8Array(32) });
  const note = signNote({ text, signers: [log], timestamp: 1_760_000_000 });
  const remembered = rememberSignatures({ policy, witnesses: [] });
  for (const each of [policy, remembered.policy]) {
    const { logSignatures, cosignatures, quorumMet } = verifyCheckpoint({ note, policy: each, requireQuorum: false });
    expect([logSignatures.length, cosignatures.length, quorumMet]).toEqual([1, 0, false]);
  }
});

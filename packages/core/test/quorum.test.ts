import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  type Cosignature,
  type Policy,
  type Signer,
  TlogError,
  type VerifyCheckpointInput,
  createSigner,
  emptyRootHash,
  evaluateQuorum,
  formatCheckpoint,
  formatPolicy,
  hashLeaf,
  minimalWitnessSets,
  parsePolicy,
  parseVkey,
  selectSignatures,
  smallestWitnessSet,
  utf8,
  verifyCheckpoint,
} from "../src/index.ts";
import { errorCode } from "../../../test/support/errors.ts";
import { describeWithVectors, readVectorJson } from "../../../test/support/vectors.ts";
import { ORIGIN, TIME, lineOf, noteOf, policyOf, rootHash, signerOf, text } from "./signed-notes.ts";

const log = signerOf(ORIGIN);
const witness = (name: string): Signer => signerOf(name, "ed25519-cosigner");
const [w1, w2, w3] = [witness("w1"), witness("w2"), witness("w3")];
const twoOfThree = policyOf([log], [w1, w2, w3], "group g 2 w1 w2 w3", "quorum g");
const oneOf = (...witnesses: readonly Signer[]): Policy =>
  policyOf([log], witnesses, `group g any ${witnesses.map(({ name }) => name).join(" ")}`, "quorum g");

const codeOf = (input: VerifyCheckpointInput): string | undefined => errorCode(() => verifyCheckpoint(input));
const cosigners = (input: VerifyCheckpointInput): readonly (readonly [string, bigint])[] =>
  verifyCheckpoint({ ...input, requireQuorum: false }).cosignatures.map(
    ({ name, timestamp }: Cosignature) => [name, timestamp] as const,
  );
const missing = (input: VerifyCheckpointInput): unknown => {
  try {
    verifyCheckpoint(input);
  } catch (error) {
    if (error instanceof TlogError && error.code === "quorum-not-met") return error.details;
    throw error;
  }
  return undefined;
};

describe("verifyCheckpoint", () => {
  test("takes a head with the log's signature and the quorum's, and says who signed", () => {
    const note = noteOf(text, lineOf(log), lineOf(w1), lineOf(w3, text, TIME + 1));
    const { checkpoint, logSignatures, cosignatures, quorumMet } = verifyCheckpoint({ note, policy: twoOfThree });
    expect(checkpoint).toEqual({ origin: ORIGIN, size: 1n, rootHash, extensions: [] });
    expect(logSignatures.map(({ verifier }) => verifier.vkey)).toEqual([log.vkey]);
    expect(cosignatures.map(({ name, timestamp }) => [name, timestamp])).toEqual([
      ["w1", BigInt(TIME)],
      ["w3", BigInt(TIME + 1)],
    ]);
    expect(quorumMet).toBe(true);
  });

  test("C-57 refuses a head whose only signature is by a key of another name", () => {
    const other = signerOf("other.example/log");
    const policy = policyOf([log, other], [], "quorum none");
    expect(codeOf({ note: noteOf(text, lineOf(log)), policy })).toBeUndefined();
    expect(codeOf({ note: noteOf(text, lineOf(other)), policy })).toBe("signature-untrusted");
    // One such line more does no harm.
    expect(codeOf({ note: noteOf(text, lineOf(other), lineOf(log)), policy })).toBeUndefined();
  });

  test("C-58 C-194 refuses another origin under the log's key", () => {
    const elsewhere = formatCheckpoint({ origin: "log.example/two", size: 1, rootHash });
    const note = noteOf(elsewhere, lineOf(log, elsewhere));
    expect(codeOf({ note, policy: policyOf([log], [], "quorum none") })).toBe("origin-unknown");
    const both = policyOf([log, signerOf("log.example/two")], [], "quorum none");
    expect(codeOf({ note, policy: both })).toBe("signature-untrusted");
  });

  test("C-77 counts no log as a witness and no witness as the log", () => {
    const mldsaLog = signerOf(ORIGIN, "mldsa44");
    const policy = policyOf([log, mldsaLog], [w1], "quorum w1");
    expect(missing({ note: noteOf(text, lineOf(log), lineOf(mldsaLog)), policy })).toEqual({ missing: ["w1"] });
    expect(codeOf({ note: noteOf(text, lineOf(w1)), policy })).toBe("signature-untrusted");
    const sameName = witness(ORIGIN);
    const named = policyOf([log], [sameName], `quorum ${ORIGIN}`);
    expect(missing({ note: noteOf(text, lineOf(log)), policy: named })).toEqual({ missing: [ORIGIN] });
    expect(codeOf({ note: noteOf(text, lineOf(sameName)), policy: named })).toBe("signature-untrusted");
    expect(codeOf({ note: noteOf(text, lineOf(log), lineOf(sameName)), policy: named })).toBeUndefined();
  });

  test("C-78 a log that is listed as a witness too counts as the log only", () => {
    const mldsaLog = signerOf(ORIGIN, "mldsa44");
    const policy = policyOf([mldsaLog], [mldsaLog], `quorum ${ORIGIN}`);
    const note = noteOf(text, lineOf(mldsaLog));
    expect(missing({ note, policy })).toEqual({ missing: [ORIGIN] });
    expect(verifyCheckpoint({ note, policy, requireQuorum: false })).toMatchObject({
      cosignatures: [],
      quorumMet: false,
      logSignatures: [{ verifier: { vkey: mldsaLog.vkey }, timestamp: BigInt(TIME) }],
    });
  });

  test("C-25 C-127 refuses a head with one bad line of a witness it knows, quorum or not", () => {
    const forged = lineOf(w3, formatCheckpoint({ origin: ORIGIN, size: 2, rootHash }));
    const note = noteOf(text, lineOf(log), lineOf(w1), lineOf(w2), forged);
    expect(codeOf({ note, policy: twoOfThree })).toBe("signature-invalid");
    expect(codeOf({ note, policy: policyOf([log], [w1, w2], "group g all w1 w2", "quorum g") })).toBeUndefined();
  });

  test("C-199 a policy without logs takes no head", () => {
    const none = parsePolicy("quorum none\n");
    expect(codeOf({ note: noteOf(text, lineOf(log)), policy: none })).toBe("origin-unknown");
    const empty = formatCheckpoint({ origin: ORIGIN, size: 0, rootHash: emptyRootHash() });
    expect(codeOf({ note: noteOf(empty, lineOf(log, empty)), policy: none })).toBe("origin-unknown");
  });

  test("says whose cosignature is missing", () => {
    expect(missing({ note: noteOf(text, lineOf(log), lineOf(w2)), policy: twoOfThree })).toEqual({
      missing: ["w1", "w3"],
    });
    const stranger = noteOf(text, lineOf(log), lineOf(witness("w4")), lineOf(witness("w5")));
    expect(missing({ note: stranger, policy: twoOfThree })).toEqual({ missing: ["w1", "w2", "w3"] });
    expect(verifyCheckpoint({ note: stranger, policy: twoOfThree, requireQuorum: false }).quorumMet).toBe(false);
  });
});

describe("times of cosignatures", () => {
  const policy = oneOf(w1, w2);
  const at = (timestamp: number): string => noteOf(text, lineOf(log), lineOf(w1, text, timestamp));

  test("C-79 a time up to five minutes ahead counts, a second more does not", () => {
    expect(codeOf({ note: at(TIME + 300), policy, nowSeconds: TIME })).toBeUndefined();
    expect(codeOf({ note: at(TIME + 301), policy, nowSeconds: TIME })).toBe("quorum-not-met");
  });

  test.each([0, 1, 60, 3600])("C-79 with %i seconds allowed ahead and behind, both ends count", (seconds) => {
    const limits = { policy, nowSeconds: TIME, futureSecondsMax: seconds, ageSecondsMax: seconds };
    for (const offset of [-seconds, 0, seconds]) expect(codeOf({ ...limits, note: at(TIME + offset) })).toBeUndefined();
    for (const offset of [-seconds - 1, seconds + 1]) {
      expect(codeOf({ ...limits, note: at(TIME + offset) })).toBe("quorum-not-met");
    }
  });

  test("C-79 without an age any past will do, and without a clock any time", () => {
    expect(codeOf({ note: at(1), policy, nowSeconds: TIME })).toBeUndefined();
    expect(codeOf({ note: at(TIME * 1000), policy })).toBeUndefined();
    expect(codeOf({ note: at(TIME), policy, nowSeconds: 100, ageSecondsMax: 200 })).toBe("quorum-not-met");
    for (const limits of [{ nowSeconds: 0.5 }, { nowSeconds: -1 }, { nowSeconds: 1, ageSecondsMax: Number.NaN }]) {
      expect(codeOf({ note: at(TIME), policy, ...limits })).toBe("RangeError");
    }
  });

  test("C-80 of two times of one witness the newer counts, once", () => {
    const both = [lineOf(w1, text, TIME), lineOf(w1, text, TIME + 5)];
    for (const lines of [both, both.toReversed()]) {
      const note = noteOf(text, lineOf(log), ...lines);
      expect(cosigners({ note, policy })).toEqual([["w1", BigInt(TIME + 5)]]);
      expect(codeOf({ note, policy: policyOf([log], [w1, w2], "group g all w1 w2", "quorum g") })).toBe(
        "quorum-not-met",
      );
    }
  });

  test("C-79 C-80 a time that does not count does not hide one that does", () => {
    const note = noteOf(text, lineOf(log), lineOf(w1, text, TIME + 1000), lineOf(w1, text, TIME));
    expect(cosigners({ note, policy, nowSeconds: TIME })).toEqual([["w1", BigInt(TIME)]]);
  });

  test("C-80 a witness with both kinds of key counts once in the policies that we write", () => {
    const keys = [w1, signerOf("w1", "mldsa44")] as const;
    const policyText = formatPolicy({
      logs: [{ vkey: log.vkey }],
      witnesses: [
        { name: "w1", vkeys: keys.map(({ vkey }) => vkey) },
        { name: "w2", vkeys: [w2.vkey] },
      ],
      quorum: 2,
    });
    const ofOne = noteOf(text, lineOf(log), ...keys.map((key) => lineOf(key)));
    expect(missing({ note: ofOne, policy: parsePolicy(policyText) })).toEqual({ missing: ["w2"] });
    const ofTwo = noteOf(text, lineOf(log), lineOf(keys[1]), lineOf(w2));
    expect(codeOf({ note: ofTwo, policy: parsePolicy(policyText) })).toBeUndefined();
  });

  test("C-74 a subtree's signature [0, size) has time 0 and is not fresh", () => {
    const note = at(0);
    expect(codeOf({ note, policy })).toBeUndefined();
    expect(codeOf({ note, policy, nowSeconds: TIME, ageSecondsMax: 86_400 })).toBe("quorum-not-met");
  });
});

describe("sets of witnesses", () => {
  test("C-201 a policy says which sets are enough, and no one of such a set can be left out", () => {
    expect(minimalWitnessSets(twoOfThree)).toHaveLength(3);
    expect(new Set(minimalWitnessSets(twoOfThree).map((set) => set.join()))).toEqual(
      new Set(["w1,w2", "w1,w3", "w2,w3"]),
    );
    expect(minimalWitnessSets(oneOf(w1, w2))).toEqual([["w1"], ["w2"]]);
    expect(minimalWitnessSets(policyOf([log], [w1], "quorum w1"))).toEqual([["w1"]]);
    expect(minimalWitnessSets(policyOf([log], [w1], "quorum none"))).toEqual([[]]);
  });

  test("C-201 of a policy with too many of them a thousand are said, each of them enough", () => {
    const names = Array.from({ length: 16 }, (_, i) => `m${i}`);
    const policy = policyOf([], names.map(witness), `group g 8 ${names.join(" ")}`, "quorum g");
    const sets = minimalWitnessSets(policy);
    expect(sets).toHaveLength(1000);
    for (const set of sets) expect([set.length, evaluateQuorum(policy, new Set(set)).met]).toEqual([8, true]);
  });

  const NAMES = Array.from({ length: 7 }, (_, i) => `n${i}`);
  const MEMBERS = NAMES.map(witness);
  /** Groups over groups, each member used once: what any policy comes down to. */
  const policies = fc
    .array(fc.record({ take: fc.nat(), threshold: fc.nat() }), { minLength: 1, maxLength: 5 })
    .map((plan) => {
      const free = [...NAMES];
      const groups = plan.map(({ take, threshold }, i) => {
        const members = free.splice(0, 1 + (take % free.length));
        free.push(`g${i}`);
        return `group g${i} ${1 + (threshold % members.length)} ${members.join(" ")}`;
      });
      return policyOf([], MEMBERS, ...groups, `quorum g${plan.length - 1}`);
    });
  const subsets = fc.subarray(NAMES).map((names) => new Set(names));

  test("C-200 one more cosignature never makes a quorum that was met unmet", () => {
    fc.assert(
      fc.property(policies, subsets, fc.constantFrom(...NAMES), (policy, set, more) => {
        const [before, after] = [set, new Set([...set, more])].map((names) => evaluateQuorum(policy, names).met);
        expect([before, after]).not.toEqual([true, false]);
      }),
      { numRuns: 500 },
    );
  });

  test("C-200 C-201 met means that it holds a minimal set; the smallest is one of these; all that is missing would do", () => {
    fc.assert(
      fc.property(policies, subsets, (policy, set) => {
        const sets = minimalWitnessSets(policy).filter((minimal) => minimal.every((name) => set.has(name)));
        const { met, missing: lacking } = evaluateQuorum(policy, set);
        expect(met).toBe(sets.length > 0);
        const smallest = smallestWitnessSet(policy, set);
        expect(smallest?.length).toBe(met ? Math.min(...sets.map((minimal) => minimal.length)) : undefined);
        expect(evaluateQuorum(policy, new Set([...set, ...lacking])).met).toBe(true);
        for (const minimal of sets) {
          for (const name of minimal) {
            expect(evaluateQuorum(policy, new Set(minimal.filter((other) => other !== name))).met).toBe(false);
          }
        }
      }),
      { numRuns: 500 },
    );
  });
});

describe("selectSignatures", () => {
  test("keeps one line of the log and those of a smallest quorum", () => {
    const mldsaLog = signerOf(ORIGIN, "mldsa44");
    const policy = policyOf([log, mldsaLog], [w1, w2, w3], "group g 2 w1 w2 w3", "quorum g");
    const lines = [lineOf(mldsaLog), lineOf(w3), lineOf(log), lineOf(w2), lineOf(w1), lineOf(witness("stranger"))];
    const kept = selectSignatures({ note: noteOf(text, ...lines), policy });
    expect(kept).toBe(noteOf(text, lineOf(log), lineOf(w2), lineOf(w1)));
    expect(codeOf({ note: kept, policy })).toBeUndefined();
  });

  test("keeps the lines of both keys of a log while one replaces the other, and both policies take it", () => {
    const next = createSigner({ name: ORIGIN, type: "ed25519", seed: hashLeaf(utf8("next")) });
    const mldsaLog = signerOf(ORIGIN, "mldsa44");
    const [before, both, after] = [[log], [log, next, mldsaLog], [next]].map((keys) =>
      policyOf(keys, [w1], "quorum w1"),
    );
    const kept = selectSignatures({
      note: noteOf(text, lineOf(mldsaLog), lineOf(log), lineOf(next), lineOf(w1)),
      policy: both ?? twoOfThree,
    });
    expect(kept).toBe(noteOf(text, lineOf(log), lineOf(next), lineOf(w1)));
    for (const policy of [before, both, after])
      expect(codeOf({ note: kept, policy: policy ?? twoOfThree })).toBeUndefined();
  });

  test("with a clock, chooses no cosignature that is too late or too old while the others are enough", () => {
    const ahead = lineOf(w1, text, TIME + 301);
    const old = lineOf(w1, text, TIME - 1);
    for (const untimely of [ahead, old]) {
      const note = noteOf(text, lineOf(log), untimely, lineOf(w2), lineOf(w3));
      expect(selectSignatures({ note, policy: twoOfThree })).toBe(noteOf(text, lineOf(log), untimely, lineOf(w2)));
      expect(selectSignatures({ note, policy: twoOfThree, nowSeconds: TIME, ageSecondsMax: 0 })).toBe(
        noteOf(text, lineOf(log), lineOf(w2), lineOf(w3)),
      );
    }
    const note = noteOf(text, lineOf(log), ahead, lineOf(w2));
    expect(selectSignatures({ note, policy: twoOfThree, nowSeconds: TIME })).toBe(note);
  });

  test("keeps every verified line where the quorum is not met", () => {
    const note = noteOf(text, lineOf(log), lineOf(w2), lineOf(witness("stranger")));
    expect(selectSignatures({ note, policy: twoOfThree })).toBe(noteOf(text, lineOf(log), lineOf(w2)));
  });
});

describe("a change of witnesses", () => {
  test("C-181 a head still verifies under the policy it was made for, and not under the one after it", () => {
    const before = oneOf(w1, w2);
    const after = oneOf(w3);
    const old = noteOf(text, lineOf(log), lineOf(w2));
    const newer = formatCheckpoint({ origin: ORIGIN, size: 2, rootHash: hashLeaf(utf8("two")) });
    const next = noteOf(newer, lineOf(log, newer), lineOf(w3, newer));
    expect([codeOf({ note: old, policy: before }), codeOf({ note: next, policy: after })]).toEqual([
      undefined,
      undefined,
    ]);
    expect(missing({ note: old, policy: after })).toEqual({ missing: ["w3"] });
    expect(missing({ note: next, policy: before })).toEqual({ missing: ["w1", "w2"] });
  });
});

interface CheckpointVector {
  readonly note: string;
  readonly origin: string;
  readonly log_vkeys: readonly string[];
  readonly witness_vkeys: readonly string[];
}

describeWithVectors("checkpoints of others", () => {
  test("C-57 hold under a policy of their keys where the log's key is named as its origin, else not", () => {
    const vectors = readVectorJson<readonly CheckpointVector[]>("checkpoints/checkpoints.json");
    expect(vectors).toHaveLength(11);
    const verdicts = vectors.map(({ note, origin, log_vkeys, witness_vkeys }) => {
      const isSupported = (vkey: string): boolean => errorCode(() => parseVkey(vkey)) !== "vkey-unsupported";
      const logs = log_vkeys.filter(isSupported);
      const witnesses = witness_vkeys.map((vkey, i) => `witness ${i} ${vkey}\n`).join("");
      const quorum =
        witness_vkeys.length === 0 ? "quorum none" : `group g all ${[...witness_vkeys.keys()].join(" ")}\nquorum g`;
      const policy = parsePolicy(`${logs.map((vkey) => `log ${vkey}\n`).join("")}${witnesses}${quorum}\n`);
      const isNamed = logs.some((vkey) => parseVkey(vkey).name === origin);
      return [isNamed, codeOf({ note, policy })];
    });
    expect(verdicts.filter(([isNamed]) => isNamed === true)).toEqual([
      [true, undefined],
      [true, undefined],
      [true, undefined],
    ]);
    expect(verdicts.filter(([isNamed]) => isNamed === false)).toEqual(
      Array.from({ length: 8 }, () => [false, "origin-unknown"]),
    );
  });
});

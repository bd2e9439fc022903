/**
 * Verifiers that remember what they verified last.
 *
 * A cosignature is verified when it comes, again when a receipt is made under its head, and again for the entry that names
 * the head. It is the same bytes over the same text each time, and to verify it takes longer than all else about a receipt.
 */
import { type Policy, type SignatureClaim, type Verifier, equalBytes } from "@tallystick/core";
import type { WitnessTarget } from "./log-api.ts";

/** By key: the lines of the newest heads. */
const SIGNATURES_MAX = 4;

interface Known {
  readonly text: string;
  readonly signature: Uint8Array;
  readonly claim: SignatureClaim;
}

/** The same verifier; what held lately is not worked out again. What does not hold is never remembered. */
export function remembering(verifier: Verifier): Verifier {
  let known: readonly Known[] = [];
  return {
    ...verifier,
    verify: (note, signature) => {
      const before = known.find((each) => each.text === note.text && equalBytes(each.signature, signature));
      if (before !== undefined) return before.claim;
      const claim = verifier.verify(note, signature);
      if (claim !== undefined)
        known = [{ text: note.text, signature: signature.slice(), claim }, ...known].slice(0, SIGNATURES_MAX);
      return claim;
    },
  };
}

/**
 * Policy and witnesses with verifiers that remember: one for each key, whoever names it as a witness's.
 *
 * A log's is another one, even for the same key: a log's signature never counts as a witness's, and by their verifiers the
 * two are told apart.
 */
export function rememberSignatures({
  policy,
  witnesses,
}: {
  readonly policy: Policy;
  readonly witnesses: readonly WitnessTarget[];
}): { readonly policy: Policy; readonly witnesses: readonly WitnessTarget[] } {
  const byKey = new Map<string, Verifier>();
  const shared = (verifier: Verifier): Verifier => {
    const found = byKey.get(verifier.vkey) ?? remembering(verifier);
    byKey.set(verifier.vkey, found);
    return found;
  };
  return {
    policy: {
      ...policy,
      logs: policy.logs.map((log) => ({ ...log, verifier: remembering(log.verifier) })),
      witnesses: policy.witnesses.map((witness) => ({ ...witness, verifier: shared(witness.verifier) })),
    },
    witnesses: witnesses.map((witness) => ({ ...witness, verifiers: witness.verifiers.map(shared) })),
  };
}

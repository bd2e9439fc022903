/** Holding heads against a policy: whose signatures hold, and whether they are enough. c2sp.org/tlog-policy */
import { type Checkpoint, parseCheckpoint } from "./checkpoint.ts";
import { TlogError, quote } from "./error.ts";
import { formatNote, parseNote } from "./note.ts";
import { type OpenedNote, type VerifiedSignature, openSignatures } from "./open-note.ts";
import type { Policy, PolicyGroup } from "./policy.ts";
import type { Verifier } from "./vkey.ts";

/** Cosignatures this far in the future are still taken: clocks differ. */
const FUTURE_SECONDS_MAX = 300;
/** Policies can have more witness sets than anybody reads. */
const SETS_MAX = 1000;

export interface Cosignature {
  /** The witness's name in the policy. */
  readonly name: string;
  readonly verifier: Verifier;
  /** Seconds since 1970. */
  readonly timestamp: bigint;
  readonly line: string;
}

export interface VerifiedCheckpoint {
  readonly checkpoint: Checkpoint;
  readonly note: OpenedNote;
  /** At least one: the log's own signatures, of type 1 or 6. */
  readonly logSignatures: readonly VerifiedSignature[];
  readonly cosignatures: readonly Cosignature[];
  /** True where the policy asks for none. */
  readonly quorumMet: boolean;
}

export interface VerifyCheckpointInput {
  readonly note: Uint8Array | string;
  readonly policy: Policy;
  /** Whether a missing quorum is an error; true by default. */
  readonly requireQuorum?: boolean;
  /** Now, in seconds since 1970. Without it times are not compared with a clock. */
  readonly nowSeconds?: number;
  /** Cosignatures further in the future are not counted; 300 by default. Needs `nowSeconds`. */
  readonly futureSecondsMax?: number;
  /** Older cosignatures are not counted. Needs `nowSeconds`. */
  readonly ageSecondsMax?: number;
}

/**
 * Verifies a head: signed by a log of the policy under its own origin, and cosigned by the quorum.
 *
 * A log's signature is never counted as a witness's, nor the reverse.
 *
 * @throws {TlogError} `note-malformed`, `checkpoint-malformed`; `origin-unknown`: no log of the policy has this origin;
 *   `signature-invalid`: a known key's signature does not hold; `signature-untrusted`: the log did not sign;
 *   `quorum-not-met`: `details.missing` names witnesses that did not cosign.
 */
export function verifyCheckpoint(input: VerifyCheckpointInput): VerifiedCheckpoint {
  const { policy, requireQuorum = true } = input;
  const parsed = parseNote(input.note);
  const checkpoint = parseCheckpoint(parsed.text);
  const logs = policy.logs.filter(({ origin }) => origin === checkpoint.origin).map(({ verifier }) => verifier);
  if (logs.length === 0) {
    const known = policy.logs.map(({ origin }) => quote(origin)).join(", ") || "none";
    throw new TlogError("origin-unknown", `checkpoint of ${quote(checkpoint.origin)}: the policy's logs are ${known}`);
  }
  const note = openSignatures(parsed, [...logs, ...policy.witnesses.map(({ verifier }) => verifier)]);
  const logSignatures = note.verified.filter(({ verifier }) => logs.includes(verifier));
  if (logSignatures.length === 0) {
    throw new TlogError(
      "signature-untrusted",
      `checkpoint of ${quote(checkpoint.origin)}: not signed by the log's key`,
    );
  }
  const cosignatures = cosignaturesOf(note, input);
  const { met: quorumMet, missing } = evaluateQuorum(policy, new Set(cosignatures.map(({ name }) => name)));
  if (requireQuorum && !quorumMet) {
    const text = `checkpoint of ${quote(checkpoint.origin)}, size ${checkpoint.size}: the quorum is not met; missing: ${missing.map(quote).join(", ")}`;
    throw new TlogError("quorum-not-met", text, { details: { missing } });
  }
  return { checkpoint, note, logSignatures, cosignatures, quorumMet };
}

function cosignaturesOf({ verified }: OpenedNote, input: VerifyCheckpointInput): Cosignature[] {
  const cosignatures: Cosignature[] = [];
  for (const { verifier, timestamp, line } of verified) {
    const witness = input.policy.witnesses.find((known) => known.verifier === verifier);
    if (witness === undefined || timestamp === undefined || !isTimely(timestamp, input)) continue;
    cosignatures.push({ name: witness.name, verifier, timestamp, line });
  }
  return cosignatures;
}

function isTimely(timestamp: bigint, input: VerifyCheckpointInput): boolean {
  const { nowSeconds, futureSecondsMax = FUTURE_SECONDS_MAX, ageSecondsMax } = input;
  if (nowSeconds === undefined) return true;
  if (timestamp > BigInt(nowSeconds + futureSecondsMax)) return false;
  return ageSecondsMax === undefined || timestamp >= BigInt(nowSeconds - ageSecondsMax);
}

/** Whether these witnesses, by their names in the policy, are a quorum; if not, which others could make it one. */
export function evaluateQuorum(
  policy: Policy,
  witnesses: ReadonlySet<string>,
): { readonly met: boolean; readonly missing: readonly string[] } {
  if (policy.quorum === "none") return { met: true, missing: [] };
  if (smallestWitnessSet(policy, witnesses) !== undefined) return { met: true, missing: [] };
  const needed = membersBelow(policy, policy.quorum);
  return { met: false, missing: needed.filter((name) => !witnesses.has(name)) };
}

function membersBelow(policy: Policy, name: string): string[] {
  const groups = new Map(policy.groups.map((group) => [group.name, group]));
  const names = [name];
  const witnesses: string[] = [];
  for (let next = names.pop(); next !== undefined; next = names.pop()) {
    const group = groups.get(next);
    if (group === undefined) witnesses.push(next);
    else names.push(...group.members.toReversed());
  }
  return witnesses;
}

/**
 * The fewest of these witnesses that meet the policy; `undefined` where they do not. Empty where it asks for none.
 *
 * Since a name is a member at most once, what members need never overlaps: the k cheapest are the best choice.
 */
export function smallestWitnessSet(policy: Policy, witnesses: ReadonlySet<string>): readonly string[] | undefined {
  if (policy.quorum === "none") return [];
  const sets = new Map<string, readonly string[]>();
  for (const { name } of policy.witnesses) if (witnesses.has(name)) sets.set(name, [name]);
  for (const { name, threshold, members } of policy.groups) {
    const met = members.map((member) => sets.get(member)).filter((set) => set !== undefined);
    const cheapest = met.toSorted((a, b) => a.length - b.length).slice(0, threshold);
    if (cheapest.length === threshold) sets.set(name, cheapest.flat());
  }
  return sets.get(policy.quorum);
}

/** Every set of witnesses that is enough and of which none can be left out, up to a thousand. */
export function minimalWitnessSets(policy: Policy): readonly (readonly string[])[] {
  if (policy.quorum === "none") return [[]];
  const sets = new Map<string, readonly (readonly string[])[]>(policy.witnesses.map(({ name }) => [name, [[name]]]));
  for (const group of policy.groups) sets.set(group.name, groupSets(group, sets));
  return sets.get(policy.quorum) ?? [];
}

function groupSets(
  { threshold, members }: PolicyGroup,
  sets: ReadonlyMap<string, readonly (readonly string[])[]>,
): readonly (readonly string[])[] {
  // chosen[k]: the sets that k of the members so far make.
  let chosen: readonly (readonly string[])[][] = Array.from({ length: threshold + 1 }, (_, k) => (k === 0 ? [[]] : []));
  for (const member of members) {
    const own = sets.get(member) ?? [];
    chosen = chosen.map((without, k) => {
      const before = k === 0 ? [] : (chosen[k - 1] ?? []);
      return [...without, ...before.flatMap((set) => own.map((more) => [...set, ...more]))].slice(0, SETS_MAX);
    });
  }
  return chosen[threshold] ?? [];
}

/**
 * The note with no more signature lines than the policy needs: one of the log, and one for each witness of a smallest
 * set that meets it. So in what is left every line bears weight. Where the quorum is not met, every verified line stays.
 *
 * @throws {TlogError} As verifyCheckpoint(), but for the quorum.
 */
export function selectSignatures({
  note,
  policy,
}: {
  readonly note: Uint8Array | string;
  readonly policy: Policy;
}): string {
  const { logSignatures, cosignatures, note: opened } = verifyCheckpoint({ note, policy, requireQuorum: false });
  const set = smallestWitnessSet(policy, new Set(cosignatures.map(({ name }) => name)));
  const kept = set === undefined ? cosignatures : cosignatures.filter(({ name }) => set.includes(name));
  const [log] = logSignatures.toSorted((a, b) => a.verifier.type - b.verifier.type);
  return formatNote({
    text: opened.text,
    signatures: [...(log === undefined ? [] : [log.line]), ...kept.map(({ line }) => line)],
  });
}

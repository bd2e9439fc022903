/** Holding heads against a policy: whose signatures hold, and whether they are enough. c2sp.org/tlog-policy */
import { type Checkpoint, parseCheckpoint } from "./checkpoint.ts";
import { TlogError, quote } from "./error.ts";
import { type Note, formatNote, parseNote } from "./note.ts";
import { type OpenedNote, type VerifiedSignature, openSignatures } from "./open-note.ts";
import type { Policy, PolicyGroup } from "./policy.ts";
import { UINT_MAX, toBigInt } from "./uint.ts";
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
  /** As it is, or parsed. */
  readonly note: Uint8Array | string | Note;
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
 * A log's signature is never counted as a witness's, nor the reverse. Of several cosignatures of a witness the newest
 * timely one counts. Without `nowSeconds` every time will do: the base procedure of c2sp.org/tlog-proof ignores it.
 *
 * @throws {TlogError} `note-malformed`, `checkpoint-malformed`; `origin-unknown`: no log of the policy has this origin;
 *   `signature-invalid`: a known key's signature does not hold; `signature-untrusted`: the log did not sign;
 *   `quorum-not-met`: `details.missing` names witnesses that did not cosign.
 * @throws {RangeError} A time in `input` is not a whole number of seconds.
 */
export function verifyCheckpoint(input: VerifyCheckpointInput): VerifiedCheckpoint {
  const { policy, requireQuorum = true } = input;
  const timely = timeWindow(input);
  const parsed = isParsed(input.note) ? input.note : parseNote(input.note);
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
  const cosignatures = cosignaturesOf(note, policy, timely);
  const { met: quorumMet, missing } = evaluateQuorum(policy, new Set(cosignatures.map(({ name }) => name)));
  if (requireQuorum && !quorumMet) {
    const text = `checkpoint of ${quote(checkpoint.origin)}, size ${checkpoint.size}: the quorum is not met; missing: ${missing.map(quote).join(", ")}`;
    throw new TlogError("quorum-not-met", text, { details: { missing } });
  }
  return { checkpoint, note, logSignatures, cosignatures, quorumMet };
}

/** Bytes of another realm (a worker's, a test's) are no instance of this one's Uint8Array. */
function isParsed(note: Uint8Array | string | Note): note is Note {
  return typeof note !== "string" && !ArrayBuffer.isView(note);
}

/** The earliest and the latest time that count, both included. */
interface TimeWindow {
  readonly from: bigint;
  readonly to: bigint;
}

function timeWindow(input: VerifyCheckpointInput): TimeWindow {
  const { nowSeconds, futureSecondsMax = FUTURE_SECONDS_MAX, ageSecondsMax } = input;
  if (nowSeconds === undefined) return { from: 0n, to: UINT_MAX };
  const now = toBigInt(nowSeconds, "nowSeconds");
  return {
    from: ageSecondsMax === undefined ? 0n : now - toBigInt(ageSecondsMax, "ageSecondsMax"),
    to: now + toBigInt(futureSecondsMax, "futureSecondsMax"),
  };
}

/** One for each witness. A newer one out of the window does not hide an older one within it. */
function cosignaturesOf({ verified, older }: OpenedNote, policy: Policy, { from, to }: TimeWindow): Cosignature[] {
  const witnesses = new Map(policy.witnesses.map(({ verifier, name }) => [verifier, name]));
  const cosignatures = new Map<string, Cosignature>();
  for (const { verifier, timestamp, line } of [...verified, ...older]) {
    const name = witnesses.get(verifier);
    if (name === undefined || timestamp === undefined || cosignatures.has(name)) continue;
    if (timestamp >= from && timestamp <= to) cosignatures.set(name, { name, verifier, timestamp, line });
  }
  return [...cosignatures.values()];
}

/** Whether these witnesses, by their names in the policy, are a quorum; if not, which others could make it one. */
export function evaluateQuorum(
  policy: Policy,
  witnesses: ReadonlySet<string>,
): { readonly met: boolean; readonly missing: readonly string[] } {
  if (policy.quorum === "none") return { met: true, missing: [] };
  const met = chooseMembers(policy, witnesses).has(policy.quorum);
  if (met) return { met, missing: [] };
  const members = new Map(policy.groups.map((group) => [group.name, group.members]));
  return { met, missing: witnessesBelow(policy.quorum, members).filter((name) => !witnesses.has(name)) };
}

/** The witnesses that a name comes down to, in the order of the lines; groups may be nested to any depth. */
function witnessesBelow(name: string, members: ReadonlyMap<string, readonly string[]>): string[] {
  const names = [name];
  const witnesses: string[] = [];
  for (let next = names.pop(); next !== undefined; next = names.pop()) {
    const below = members.get(next);
    if (below === undefined) witnesses.push(next);
    else for (const member of below.toReversed()) names.push(member);
  }
  return witnesses;
}

/** For each group that these witnesses meet, the members by which they do with the fewest of them; nothing below a witness. */
function chooseMembers(
  policy: Policy,
  witnesses: ReadonlySet<string>,
): ReadonlyMap<string, { readonly cost: number; readonly members?: readonly string[] }> {
  const choices = new Map<string, { readonly cost: number; readonly members?: readonly string[] }>();
  for (const { name } of policy.witnesses) if (witnesses.has(name)) choices.set(name, { cost: 1 });
  for (const { name, threshold, members } of policy.groups) {
    const costs = members.flatMap((member) => {
      const choice = choices.get(member);
      return choice === undefined ? [] : [{ member, cost: choice.cost }];
    });
    const cheapest = costs.toSorted((a, b) => a.cost - b.cost).slice(0, threshold);
    if (cheapest.length < threshold) continue;
    const cost = cheapest.reduce((sum, choice) => sum + choice.cost, 0);
    choices.set(name, { cost, members: cheapest.map(({ member }) => member) });
  }
  return choices;
}

/**
 * The fewest of these witnesses that meet the policy; `undefined` where they do not. Empty where it asks for none.
 *
 * Since a name is a member at most once, what members need never overlaps: the k cheapest are the best choice.
 */
export function smallestWitnessSet(policy: Policy, witnesses: ReadonlySet<string>): readonly string[] | undefined {
  if (policy.quorum === "none") return [];
  const choices = chooseMembers(policy, witnesses);
  if (!choices.has(policy.quorum)) return undefined;
  const chosen = new Map(
    [...choices].flatMap(([name, { members }]) => (members === undefined ? [] : [[name, members]])),
  );
  return witnessesBelow(policy.quorum, chosen);
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
      const room = SETS_MAX - without.length;
      return [...without, ...pairs(before, own, room)];
    });
  }
  return chosen[threshold] ?? [];
}

/** At most `most` unions of a set of `left` with one of `right`. */
function pairs(
  left: readonly (readonly string[])[],
  right: readonly (readonly string[])[],
  most: number,
): readonly (readonly string[])[] {
  const rows = right.length === 0 ? [] : left.slice(0, Math.ceil(most / right.length));
  return rows.flatMap((set) => right.map((more) => [...set, ...more])).slice(0, most);
}

/**
 * The note with no more signature lines than the policy needs: one of the log, and one for each witness of a smallest
 * set that meets it. So in what is left every line bears weight. Where the quorum is not met, every verified line stays.
 *
 * A policy with two keys of the log of one type is of a time in which one replaces the other: both lines stay, for those
 * who know one of the keys only. docs/decisions/0053
 *
 * With `nowSeconds` only timely cosignatures are chosen, where they are enough: at most five minutes in the future, and
 * with `ageSecondsMax` no older than that. Without them every time will do.
 *
 * @throws {TlogError} As verifyCheckpoint(), but for the quorum.
 */
export function selectSignatures(input: {
  readonly note: Uint8Array | string;
  readonly policy: Policy;
  /** Now, in seconds since 1970. */
  readonly nowSeconds?: number;
  /** Older cosignatures are not chosen. Needs `nowSeconds`. */
  readonly ageSecondsMax?: number;
}): string {
  const { note, policy, nowSeconds } = input;
  const timely = verifyCheckpoint({ ...input, requireQuorum: false });
  const {
    logSignatures,
    cosignatures,
    note: opened,
  } = timely.quorumMet || nowSeconds === undefined ? timely : verifyCheckpoint({ note, policy, requireQuorum: false });
  const set = smallestWitnessSet(policy, new Set(cosignatures.map(({ name }) => name)));
  const kept = set === undefined ? cosignatures : cosignatures.filter(({ name }) => set.includes(name));
  const type = Math.min(...logSignatures.map(({ verifier }) => verifier.type));
  const log = logSignatures.filter(({ verifier }) => verifier.type === type);
  return formatNote({ text: opened.text, signatures: [...log, ...kept].map(({ line }) => line) });
}

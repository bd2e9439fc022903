/** Evidence in words: the few lines that `verify` and others print. */
import { type Policy, encodeBase64, encodeHex, formatKeyId } from "@tallystick/core";
import type { VerifiedCosignature, VerifiedReceipt } from "@tallystick/client";
import type { Certificate, TallyEvent } from "@tallystick/events";
import { printable } from "./printable.ts";

/** `auth.login failure by user:u_81`, and from where; on one line, whatever the event holds. */
export function describeEvent({ type, outcome, actor, subject, source, reason }: TallyEvent): string {
  const by = actor === undefined ? "" : ` by ${wordOf(actor.type)}:${wordOf(actor.id)}`;
  const about = subject === undefined ? "" : ` about ${wordOf(subject.id)}`;
  const from = source?.ip === undefined ? "" : ` from ${wordOf(source.ip)}`;
  const why = reason === undefined ? "" : ` (${wordOf(reason)})`;
  return printable(`${wordOf(type)} ${outcome}${by}${about}${from}${why}`);
}

/** Of others' text, what cannot read as words of ours: a single word as it is, all else in quotes. */
export function wordOf(text: string): string {
  if (/^[\p{L}\p{N}\p{M}_.:@/+-]+$/u.test(text)) return text;
  // What is not seen must not make two ids look alike.
  return JSON.stringify(text).replaceAll(UNSEEN, (character) => `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`);
}

const UNSEEN = /(?! )[\p{Z}\p{Cf}]/gu;

/** `09:14:09.131`, or with its day where that is not today's. */
export function describeTime(timeMs: number, now: number = Date.now()): string {
  const text = new Date(timeMs).toISOString();
  const sameDay = new Date(now).toISOString().slice(0, 10) === text.slice(0, 10);
  return sameDay ? text.slice(11, -1) : text.replace("T", " ").slice(0, -1);
}

/** `1 entry`, `2 entries`. */
export function plural(count: number, one: string, several: string = `${one}s`): string {
  return `${count} ${count === 1 ? one : several}`;
}

/** `90 minutes`, `5 hours`, `3 days`: rounded down. */
export function describeAge(ms: number): string {
  const hours = Math.floor(ms / 3_600_000);
  if (hours < 2) return `${Math.floor(ms / 60_000)} minutes`;
  return hours < 48 ? `${hours} hours` : `${Math.floor(hours / 24)} days`;
}

/** `8kyi…`: enough of a root hash to compare by eye. */
export function describeHash(hash: Uint8Array): string {
  return `${encodeBase64(hash).slice(0, 8)}…`;
}

/** What a receipt proves, line by line. */
export function describeReceipt(receipt: VerifiedReceipt, policy: Policy): string[] {
  const { origin, index, size, rootHash, leaf, event, cosignatures } = receipt;
  const contents = event === undefined ? "not shown (no opening given)" : "matches its commitment";
  const times = cosignatures.map(({ timestamp }) => Number(timestamp) * 1000);
  // Witnesses sign whole seconds.
  const witnessed = times.length === 0 ? "not witnessed" : `witnessed ${describeTime(Math.max(...times)).slice(0, -4)}`;
  const word = times.length === 0 ? "the log's word" : "the log's word; not after the cosignatures";
  return [
    `  event    ${contents}`,
    `  in log   ${origin}, index ${index} of ${size}, root ${describeHash(rootHash)}`,
    `  time     logged ${describeTime(leaf.loggedAt)} (${word}), ${witnessed} (UTC)`,
    `  filed    class ${leaf.class}, ${describeSender(receipt)}`,
    `  signed   log ${receipt.logKeyIds.map(formatKeyId).join(", ")}; ${describeWitnesses(receipt, policy)}${describeUntimely(receipt)}`,
    `  not shown: that the application told the truth, or sent this${event === undefined ? ", and what the event says" : ""}`,
  ];
}

/** What a certificate of an erasure says, line by line. Whether it is so, an audit tells. */
export function describeCertificate(certificate: Certificate): string[] {
  const { request, ground, state, before, finalOn, keys, kept = [], by, approvedBy, part, parts } = certificate;
  const who =
    by === undefined ? "by the rules" : `by ${[by, approvedBy].filter((name) => name !== undefined).join(" and ")}`;
  const destroyed = state === "done" ? "destroyed" : "ordered to be destroyed";
  const share = part === undefined ? "" : ` (part ${part} of ${parts ?? part})`;
  const lines = [
    `erasure  ${state}, request ${request}, ${who}: ${wordOf(ground)}`,
    `covers   ${describeScope(certificate)}${share}; nothing from index ${before} on`,
    `keys     ${keys.length} ${destroyed}; in no backup of the key store from ${finalOn} on`,
  ];
  if (kept.length > 0)
    lines.push(
      `kept     ${kept.map(([name, count]) => `${count} of class ${name}`).join(", ")}: a hold or a duty to keep them goes on`,
    );
  return lines.map((line) => printable(`  ${line}`));
}

function describeScope({ scope }: Certificate): string {
  if ("classDay" in scope) {
    const { class: name, day, first, last, count } = scope.classDay;
    const date = new Date(day * 86_400_000).toISOString().slice(0, 10);
    return `class ${name} of ${date}: ${plural(count, "entry", "entries")}, index ${first} to ${last}`;
  }
  const leaves = scope.tags.reduce((sum, [, count]) => sum + count, 0);
  // Where there are more, each part of the order has its own.
  const entries = leaves === 1 ? "1 entry that bears" : `${leaves} entries that bear`;
  return `what is about one person: ${plural(scope.tags.length, "tag")}, ${entries} ${scope.tags.length === 1 ? "it" : "them"}`;
}

/** A leaf names its stream and number; only the sender's signature proves them, and it covers a whole batch. */
function describeSender({ leaf }: VerifiedReceipt): string {
  if (leaf.sequence === null) return "not signed by its sender";
  const stream = leaf.sequence === 1 ? "a new stream" : `stream ${encodeHex(leaf.stream.subarray(0, 4))}…`;
  const signature = leaf.signature === null ? "is not in this file" : "is not checked here (audit does)";
  return `claims sequence ${leaf.sequence} of ${stream}; its sender's signature ${signature}`;
}

function describeUntimely({ untimely }: VerifiedReceipt): string {
  if (untimely.length === 0) return "";
  return `; too early to count: ${untimely.map(({ witness }) => witness).join(", ")}`;
}

function describeWitnesses({ cosignatures, quorumNone }: VerifiedReceipt, policy: Policy): string {
  if (quorumNone) return "the policy asks for no witness";
  const names = [...new Set(cosignatures.map(({ witness }) => ownerOf(witness, policy)))];
  const list = names.length === 0 ? "no witness" : `witness${names.length === 1 ? "" : "es"} ${names.join(", ")}`;
  const group = policy.groups.find(({ name }) => name === policy.quorum);
  if (group === undefined) return `${list} (required ${policy.quorum})`;
  const counted = group.members.filter((member) => names.includes(member)).length;
  return `${list} (${counted} of ${group.members.length}, required ${group.threshold})`;
}

/** A witness with several keys is a group in the policy: its name says more than that of one key. */
function ownerOf(witness: string, { groups, quorum }: Policy): string {
  const owner = groups.find(
    ({ members, threshold, name }) => threshold === 1 && name !== quorum && members.includes(witness),
  );
  return owner?.name ?? witness;
}

/** The witnesses of a head and when they cosigned it, each once. */
export function describeCosigners(cosignatures: readonly VerifiedCosignature[], policy: Policy): string {
  const newest = new Map<string, number>();
  for (const { witness, timestamp } of cosignatures) {
    const owner = ownerOf(witness, policy);
    newest.set(owner, Math.max(newest.get(owner) ?? 0, Number(timestamp) * 1000));
  }
  if (newest.size === 0) return "cosigned by nobody that the policy knows";
  const list = [...newest]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, time]) => `${name} ${describeTime(time).slice(0, -4)}`);
  return `cosigned by ${list.join(", ")} (UTC)`;
}

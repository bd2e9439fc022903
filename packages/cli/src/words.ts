/** Evidence in words: the few lines that `verify` and others print. */
import { encodeBase64, encodeHex } from "@tallystick/core";
import type { VerifiedReceipt } from "@tallystick/client";
import type { TallyEvent } from "@tallystick/events";

/** `auth.login failure by user:u_81`, and from where. */
export function describeEvent({ type, outcome, actor, subject, source, reason }: TallyEvent): string {
  const by = actor === undefined ? "" : ` by ${actor.type}:${actor.id}`;
  const about = subject === undefined ? "" : ` about ${subject.id}`;
  const from = source?.ip === undefined ? "" : ` from ${source.ip}`;
  const why = reason === undefined ? "" : ` (${reason})`;
  return `${type} ${outcome}${by}${about}${from}${why}`;
}

/** `09:14:09.131`, or with its day where that is not today's. */
export function describeTime(timeMs: number, now: number = Date.now()): string {
  const text = new Date(timeMs).toISOString();
  const sameDay = new Date(now).toISOString().slice(0, 10) === text.slice(0, 10);
  return sameDay ? text.slice(11, -1) : text.replace("T", " ").slice(0, -1);
}

/** `778629b1`: a key ID as notes show it. */
export function describeKeyId(keyId: number): string {
  return keyId.toString(16).padStart(8, "0");
}

/** `8kyi…`: enough of a root hash to compare by eye. */
export function describeHash(hash: Uint8Array): string {
  return `${encodeBase64(hash).slice(0, 8)}…`;
}

/** What a receipt proves, line by line. */
export function describeReceipt(receipt: VerifiedReceipt): string[] {
  const { origin, index, size, rootHash, leaf, event, cosignatures } = receipt;
  const contents = event === undefined ? "not shown (no opening given)" : "matches its commitment";
  const times = cosignatures.map(({ timestamp }) => Number(timestamp) * 1000);
  const witnessed = times.length === 0 ? "not witnessed" : `witnessed ${describeTime(Math.max(...times))}`;
  return [
    `  event    ${contents}`,
    `  in log   ${origin}, index ${index} of ${size}, root ${describeHash(rootHash)}`,
    `  time     logged ${describeTime(leaf.loggedAt)}, ${witnessed} UTC`,
    `  filed    class ${leaf.class}, ${describeSender(receipt)}`,
    `  signed   log ${receipt.logKeyIds.map(describeKeyId).join(", ")}; ${describeWitnesses(receipt)}`,
    `  not shown: that the application told the truth${event === undefined ? ", and what the event says" : ""}`,
  ];
}

function describeSender({ leaf }: VerifiedReceipt): string {
  if (leaf.sequence === null) return "not signed by its sender";
  const stream = encodeHex(leaf.stream.subarray(0, 4));
  return `sequence ${leaf.sequence} of stream ${stream}…`;
}

function describeWitnesses({ cosignatures, quorumMet, quorumNone }: VerifiedReceipt): string {
  if (quorumNone) return "the policy asks for no witness";
  const names = [...new Set(cosignatures.map(({ witness }) => witness))];
  const list = names.length === 0 ? "no witness" : `witness${names.length === 1 ? "" : "es"} ${names.join(", ")}`;
  return `${list} (${quorumMet ? "quorum met" : "quorum not met"})`;
}

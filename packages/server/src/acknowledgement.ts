/** What a writer is told of an entry: `acknowledgement` in the schemas. */
import { UTF8_UNIT_BYTES_MAX, base64Length, writeBase64 } from "@tallystick/core";
import type { Acknowledgement } from "@tallystick/log";

/** All but leaf and receipt: 216 where the index has 16 digits. */
const CHARS_MAX = 256;

const BEFORE_LEAF = Buffer.from('","leaf":"');
const [OPEN, CLOSE, COMMA] = [0x5b, 0x5d, 0x2c];

/**
 * An acknowledgement as JSON.
 *
 * Put together by hand, in half of the time of JSON.stringify(): it is the answer to every event.
 *
 * @param receipt - Where the entry is published.
 */
export function formatAcknowledgement(answer: Acknowledgement, receipt: string | undefined): string {
  const proof = proofOf(receipt);
  const text = Buffer.allocUnsafe(roomFor(answer, proof));
  const end = write({ text, start: 0, answer, proof });
  return text.toString(proof === "" ? "latin1" : "utf8", 0, end);
}

/** A list of them in UTF-8: to join as many texts would take as long again as to make them. */
export function formatAcknowledgements(
  answers: readonly Acknowledgement[],
  receiptOf: (answer: Acknowledgement) => string | undefined,
): Buffer {
  const proofs = answers.map((answer) => proofOf(receiptOf(answer)));
  const room = answers.reduce((sum, answer, at) => sum + roomFor(answer, proofs[at] ?? "") + 1, 2);
  const text = Buffer.allocUnsafe(room);
  text[0] = OPEN;
  let end = 1;
  for (const [at, answer] of answers.entries()) {
    if (at > 0) text[end++] = COMMA;
    end = write({ text, start: end, answer, proof: proofs[at] ?? "" });
  }
  text[end] = CLOSE;
  return text.subarray(0, end + 1);
}

function proofOf(receipt: string | undefined): string {
  return receipt === undefined ? "" : `,"receipt":${JSON.stringify(receipt)}`;
}

function roomFor({ leaf }: Acknowledgement, proof: string): number {
  return CHARS_MAX + base64Length(leaf) + UTF8_UNIT_BYTES_MAX * proof.length;
}

/** Gives where it ends. */
function write(input: {
  readonly text: Buffer;
  readonly start: number;
  readonly answer: Acknowledgement;
  readonly proof: string;
}): number {
  const { text, start, answer, proof } = input;
  const { id, index, loggedAt, leafHash, leaf, state, duplicate } = answer;
  // A UUID, a time, base64 and a state hold nothing that JSON would escape.
  const known = `{"id":"${id}","index":${index},"loggedAt":"${isoTimeOf(loggedAt)}","leafHash":"`;
  let at = start + text.write(known, start, "latin1");
  at = writeBase64(leafHash, text, at);
  text.set(BEFORE_LEAF, at);
  at = writeBase64(leaf, text, at + BEFORE_LEAF.length);
  const again = duplicate === undefined ? "" : `,"duplicate":${duplicate}`;
  return at + text.write(`","state":"${state}"${again}${proof}}`, at, proof === "" ? "latin1" : "utf8");
}

/** The last time that was asked for: most entries are logged with others in one commit, and so at one time. */
let last = { ms: 0, text: new Date(0).toISOString() };

function isoTimeOf(ms: number): string {
  if (ms !== last.ms) last = { ms, text: new Date(ms).toISOString() };
  return last.text;
}

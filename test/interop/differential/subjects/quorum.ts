/** Whether a note has the cosignatures that a policy asks for: evaluated by us and by Tessera. */
import {
  type Note,
  type Policy,
  evaluateQuorum,
  formatCheckpoint,
  hashLeaf,
  openSignatures,
  parseNote,
  parsePolicy,
} from "@tallystick/core";
import type { Input, Kind, Subject } from "../kind.ts";
import { bytesOf, octetsOfText } from "../octets.ts";
import { PQ_WITNESS, WITNESS, hostileLine } from "../signers.ts";
import { joinNote } from "./lines.ts";
import { verdictOf } from "./verdict.ts";

function ours(input: Input): string {
  return verdictOf(() => {
    const { note, policy } = read(input);
    const verifiers = policy.witnesses.map(({ verifier }) => verifier);
    const signed = new Set(openSignatures(note, verifiers).verified.map(({ verifier }) => verifier));
    const names = policy.witnesses.filter(({ verifier }) => signed.has(verifier)).map(({ name }) => name);
    return String(evaluateQuorum(policy, new Set(names)).met);
  });
}

function read([policy = new Uint8Array(), note = new Uint8Array()]: Input): { policy: Policy; note: Note } {
  return { policy: parsePolicy(policy), note: parseNote(note) };
}

/** Whether a line of one of the policy's witnesses does not hold. */
function hasBadLine(input: Input): boolean {
  const { note, policy } = read(input);
  const verifiers = policy.witnesses.map(({ verifier }) => verifier);
  return note.signatures.some((signature) => {
    const alone = { ...note, signatures: [signature] };
    return verdictOf(() => String(openSignatures(alone, verifiers).verified.length)) === "refused";
  });
}

/** The text that is cosigned. */
export const TEXT: string = octetsOfText(
  formatCheckpoint({ origin: "differential.example/log", size: 1, rootHash: hashLeaf(new Uint8Array()) }),
);

/** A policy, and a note with these lines. */
export function quorumInput(policy: string, lines: readonly string[]): Input {
  return [bytesOf(policy), bytesOf(joinNote({ text: TEXT, lines }))];
}

const POLICY = `witness w1 ${WITNESS.vkey} http://w1\nwitness w2 ${PQ_WITNESS.vkey} http://w2\ngroup g any w1 w2\nquorum g\n`;

const KINDS: readonly Kind[] = [
  {
    name: "bad-line-of-a-witness",
    covers: "C-25",
    of: ["tessera"],
    form: "we-refuse",
    holds: hasBadLine,
    example: quorumInput(POLICY, [hostileLine(WITNESS, TEXT), hostileLine(PQ_WITNESS, TEXT.replace("\n1\n", "\n2\n"))]),
  },
];

export const QUORUM: Subject = { name: "quorum", code: "q", share: 3, ours, kinds: KINDS };

/**
 * Verifying many receipts under one policy: each gets the verdict that `verifyReceipt` gives it, in a fraction of the time.
 *
 * Receipts of one head share its signatures and most of their way up its tree. What was verified of a head is kept, for the few
 * heads that were asked about last, under the very bytes of its note.
 */
import {
  type Policy,
  TallystickError,
  TlogProofVerifier,
  type VerifiedEntry,
  decodeUtf8,
  invariant,
} from "@tallystick/core";
import { ClientError } from "./error.ts";
import {
  CLOCK_TOLERANCE_MS,
  type ReceiptInput,
  type VerifiedHead,
  type VerifiedReceipt,
  verifyHead,
  verifyReceipt,
  weighProven,
} from "./receipt.ts";

export interface ReceiptVerifierOptions {
  readonly policy: Policy;
  /** Refuse heads without the policy's quorum (the default), or accept them as the log's word alone. */
  readonly requireQuorum?: boolean;
}

/** A receipt to verify, and what to hold it against. */
export type ReceiptToVerify = Pick<ReceiptInput, "proof" | "opening" | "expect" | "now">;

/** What `verifyReceipt` returns or throws of one of many receipts. */
export type ReceiptVerdict =
  | { readonly receipt: VerifiedReceipt; readonly refusal?: never }
  | { readonly refusal: ClientError; readonly receipt?: never };

/** Heads that are kept: 2 MB each at most. */
const HEADS_MAX = 8;
/** A receipt has about 2 kB. What is longer is verified by itself. */
const PROOF_BYTES_MAX = 65_536;

/** Of a note: in the last signature, which no other note has. */
const END_CHARS = 32;

/** A head whose signatures hold, whether or not it has its quorum. */
interface Head {
  readonly note: string;
  /** The last of the note. */
  readonly end: string;
  readonly verified: VerifiedHead;
  /** In ms since 1970. Before it, one of the cosignatures lies in the future. */
  readonly timelyFrom: number;
  /** How many receipts under it have been asked about. */
  receipts: number;
  /** Made for the second of them. */
  proofs: TlogProofVerifier | undefined;
}

/** Receipts one after the other that have, or seem to have, one head. */
interface Run {
  readonly head: Head;
  /** The place of the first among all. */
  readonly start: number;
  readonly texts: string[];
}

/** Verifies receipts under a policy. What it keeps of them is bounded, and only makes others quicker. */
export class ReceiptVerifier {
  readonly #trust: Required<ReceiptVerifierOptions>;
  /** The one that was asked for last comes first. */
  readonly #heads: Head[] = [];

  constructor({ policy, requireQuorum = true }: ReceiptVerifierOptions) {
    this.#trust = { policy, requireQuorum };
  }

  /**
   * As `verifyReceipt`.
   *
   * @throws {ClientError} `receipt-refuted`: `details.step` names the first check that failed, `cause` says why.
   */
  verify(input: ReceiptToVerify): VerifiedReceipt {
    const [verdict] = this.verifyAll([input]);
    invariant(verdict !== undefined, "every receipt gets a verdict");
    if (verdict.refusal !== undefined) throw verdict.refusal;
    return verdict.receipt;
  }

  /** The verdict on each, in their order. Quickest where those under one head come together. */
  verifyAll(inputs: readonly ReceiptToVerify[]): ReceiptVerdict[] {
    const verdicts: ReceiptVerdict[] = [];
    let run: Run | undefined;
    for (const [at, input] of inputs.entries()) {
      const text = textOf(input.proof);
      const head = text === undefined ? undefined : this.#headOf(text, input.now);
      if (run !== undefined && run.head !== head) {
        this.#settle(run, inputs, verdicts);
        run = undefined;
      }
      if (text === undefined || head === undefined) {
        verdicts.push(this.#verifySingly(input, undefined));
      } else {
        run ??= { head, start: at, texts: [] };
        run.texts.push(text);
      }
    }
    if (run !== undefined) this.#settle(run, inputs, verdicts);
    return verdicts;
  }

  #settle({ head, start, texts }: Run, inputs: readonly ReceiptToVerify[], verdicts: ReceiptVerdict[]): void {
    const entries = entriesOf(head, texts);
    // The head is kept for receipts to come.
    const { checkpoint } = head.verified;
    const handedOn = { ...head.verified, checkpoint: { ...checkpoint, rootHash: checkpoint.rootHash.slice() } };
    for (const [i, text] of texts.entries()) {
      const [input, entry] = [inputs[start + i], entries[i]];
      invariant(input !== undefined, "what is in a run was asked for");
      verdicts.push(
        entry === undefined
          ? this.#verifySingly(input, noteOf(text) === head.note ? head : undefined)
          : verdictOf(() => weighProven(input, this.#trust, { entry, head: handedOn })),
      );
    }
  }

  #verifySingly(input: ReceiptToVerify, head: Head | undefined): ReceiptVerdict {
    const known = head === undefined ? {} : { verifiedHead: head.verified };
    return verdictOf(() => verifyReceipt({ ...input, ...this.#trust, ...known }));
  }

  /**
   * The head of a receipt, or what looks like it: who reads the receipt compares all of its note, and to do that here too would
   * have all of it read twice. `undefined` where its signatures do not hold, or not all of its times are in the past.
   */
  #headOf(text: string, now: number | undefined): Head | undefined {
    const [last] = this.#heads;
    const head = last !== undefined && text.endsWith(last.end) ? last : this.#lookUp(noteOf(text));
    if (head === undefined) return undefined;
    // What is no time is refused by what verifies it singly.
    const isTimely = now === undefined || (now >= head.timelyFrom && now <= Number.MAX_SAFE_INTEGER);
    return isTimely ? head : undefined;
  }

  /** Puts a head first. */
  #lookUp(note: string): Head | undefined {
    const place = this.#heads.findIndex((head) => head.note === note);
    const head = this.#heads[place] ?? headOf(note, this.#trust.policy);
    if (head === undefined) return undefined;
    if (place !== -1) this.#heads.splice(place, 1);
    this.#heads.unshift(head);
    if (this.#heads.length > HEADS_MAX) this.#heads.pop();
    return head;
  }
}

function noteOf(text: string): string {
  return text.slice(text.indexOf("\n\n") + 2);
}

function headOf(note: string, policy: Policy): Head | undefined {
  try {
    const verified = verifyHead({ policy }, note);
    const newest = verified.cosignatures.reduce((most, { timestamp }) => Math.max(most, Number(timestamp)), 0);
    return {
      note,
      end: note.slice(-END_CHARS),
      verified,
      timelyFrom: Math.max(0, newest * 1000 - CLOCK_TOLERANCE_MS),
      receipts: 0,
      proofs: undefined,
    };
  } catch (error) {
    if (error instanceof TallystickError) return undefined;
    throw error;
  }
}

/** A single receipt under a head that is new is verified by itself: it may well be the only one. */
function entriesOf(head: Head, texts: readonly string[]): (VerifiedEntry | undefined)[] {
  head.receipts += texts.length;
  if (head.receipts === 1) return [undefined];
  head.proofs ??= new TlogProofVerifier(head.note);
  return head.proofs.verifyAll(texts);
}

/** `undefined` for what is already parsed, is too long, or is no text. */
function textOf(proof: ReceiptInput["proof"]): string | undefined {
  if (typeof proof === "string") return proof.length > PROOF_BYTES_MAX ? undefined : proof;
  if (!(proof instanceof Uint8Array) || proof.length > PROOF_BYTES_MAX) return undefined;
  try {
    return decodeUtf8(proof);
  } catch (error) {
    if (error instanceof TallystickError) return undefined;
    throw error;
  }
}

function verdictOf(verify: () => VerifiedReceipt): ReceiptVerdict {
  try {
    return { receipt: verify() };
  } catch (error) {
    if (error instanceof ClientError && error.code === "receipt-refuted") return { refusal: error };
    throw error;
  }
}

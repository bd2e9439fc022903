/**
 * What a witness decides, without doing it: from a parsed request, what is configured and what was cosigned before.
 *
 * The order of the checks is that of the specification's text, so that a request with several faults gets the first:
 * origin (404), signatures (403), old size above the checkpoint's (400), old size that is not ours (409), proof (422).
 * c2sp.org/tlog-witness
 */
import {
  type Checkpoint,
  type Hash,
  TlogError,
  type Verifier,
  emptyRootHash,
  equalBytes,
  quote,
  verifyConsistency,
  verifySubtreeConsistency,
} from "@tallystick/core";
import type { KnownLog } from "./config.ts";
import { messageOf } from "./error.ts";
import type { AddCheckpointRequest, SignSubtreeRequest, SubmittedNote } from "./request.ts";
import type { OriginState } from "./state.ts";
import { type VerifiedLine, isNamed, verifyLines } from "./verified-line.ts";

/** Refusals that the specification gives a status. */
export type RefusalCode =
  | "origin-unknown"
  | "signature-refused"
  | "size-regressed"
  | "checkpoint-conflict"
  | "checkpoint-inconsistent";

export interface Refusal {
  readonly kind: "refuse";
  readonly code: RefusalCode;
  readonly message: string;
  /** Of the checkpoint cosigned last, 0 without one. Only with `checkpoint-conflict`. */
  readonly size?: bigint;
  /** Set where the request shows a head that does not go with the one that was cosigned. */
  readonly contradiction?: { readonly proof: readonly Hash[] | undefined };
}

/** The log signed it, and the sizes are in order. */
export interface Admission {
  readonly kind: "admit";
  readonly log: KnownLog;
  /** The verified signatures of the log. */
  readonly logLines: readonly VerifiedLine[];
  /** Valid cosignatures of this witness that the submitted checkpoint bears already. */
  readonly ownLines: readonly VerifiedLine[];
}

export interface AdmitInput {
  readonly request: AddCheckpointRequest;
  /** The log of the checkpoint's origin, if it is configured. */
  readonly log: KnownLog | undefined;
  readonly ownVerifiers: readonly Verifier[];
}

/** Decides what can be decided without the state: whether the request comes from the log. */
export function admitCheckpoint({ request, log, ownVerifiers }: AdmitInput): Admission | Refusal {
  if (log === undefined) return unknownOrigin(request);
  const { lines, failed } = verifyLines(request.note, log.verifiers);
  const refused =
    failed[0] ?? request.disfigured.find((key) => log.verifiers.some((verifier) => isNamed(verifier, key)));
  if (refused !== undefined) {
    return refuse("signature-refused", `the signature of ${quote(refused.name)} does not verify`);
  }
  if (lines.length === 0) return refuse("signature-refused", `no signature of a key of ${quote(log.origin)}`);
  const { oldSize, checkpoint } = request;
  if (oldSize > checkpoint.size) {
    return refuse("size-regressed", `old size ${oldSize} is above the checkpoint's size ${checkpoint.size}`);
  }
  return { kind: "admit", log, logLines: lines, ownLines: verifyLines(request.note, ownVerifiers).lines };
}

/** The checkpoint may be cosigned. */
export interface Approval {
  readonly kind: "cosign";
}

export interface UpdateInput {
  readonly request: AddCheckpointRequest;
  readonly state: OriginState | undefined;
}

/** Decides whether an admitted checkpoint extends what was cosigned before. */
export function decideUpdate({ request, state }: UpdateInput): Approval | Refusal {
  const { oldSize, checkpoint } = request;
  const size = state?.checkpoint.size ?? 0n;
  const forked = state !== undefined && isFork(state.checkpoint, checkpoint);
  const contradiction = forked ? { contradiction: { proof: undefined } } : {};
  if (oldSize !== size) {
    const message = `old size ${oldSize} is not the size cosigned last, ${size}`;
    return { ...refuse("checkpoint-conflict", message), size, ...contradiction };
  }
  if (forked) {
    return {
      ...refuse("checkpoint-inconsistent", `another root hash than the one cosigned for size ${size}`),
      ...contradiction,
    };
  }
  const fault = consistencyFault(request, state?.checkpoint);
  if (fault === undefined) return { kind: "cosign" };
  const suspected =
    state !== undefined && size > 0n && checkpoint.size > size ? { contradiction: { proof: request.proof } } : {};
  return { ...refuse("checkpoint-inconsistent", fault), ...suspected };
}

function isFork(cosigned: Checkpoint, { size, rootHash }: Checkpoint): boolean {
  return cosigned.size === size && !equalBytes(cosigned.rootHash, rootHash);
}

/** Undefined where the proof shows that the checkpoint extends the cosigned one; of nothing cosigned, the empty tree. */
function consistencyFault(
  { checkpoint, proof }: AddCheckpointRequest,
  cosigned: Checkpoint | undefined,
): string | undefined {
  const { size: from, rootHash: fromRootHash } = cosigned ?? { size: 0n, rootHash: emptyRootHash() };
  const { size: to, rootHash: toRootHash } = checkpoint;
  return faultOf(() => verifyConsistency({ from, to, fromRootHash, toRootHash, proof }));
}

export interface SubtreeInput {
  readonly request: SignSubtreeRequest;
  readonly log: KnownLog | undefined;
  readonly ownVerifiers: readonly Verifier[];
}

/** The subtree may be signed. */
export interface SubtreeApproval {
  readonly kind: "sign";
  readonly log: KnownLog;
  /** Our valid cosignatures on the reference checkpoint. */
  readonly ownLines: readonly VerifiedLine[];
}

/**
 * Decides whether a subtree may be signed.
 *
 * It takes no state: our own cosignature shows that we held the checkpoint to be consistent, whenever that was.
 */
export function decideSubtree({ request, log, ownVerifiers }: SubtreeInput): SubtreeApproval | Refusal {
  if (log === undefined) return unknownOrigin(request);
  const { lines, failed } = verifyLines(request.note, ownVerifiers);
  const disfigured = request.disfigured.some((key) => ownVerifiers.some((verifier) => isNamed(verifier, key)));
  if (failed.length > 0 || disfigured)
    return refuse("signature-refused", "a cosignature in the name of this witness does not verify");
  if (lines.length === 0) return refuse("signature-refused", "the checkpoint bears no cosignature of this witness");
  const { start, end, subtreeHash, proof } = request;
  const { size, rootHash } = request.checkpoint;
  const fault = faultOf(() => verifySubtreeConsistency({ start, end, size, subtreeHash, rootHash, proof }));
  return fault === undefined ? { kind: "sign", log, ownLines: lines } : refuse("checkpoint-inconsistent", fault);
}

function unknownOrigin({ checkpoint }: SubmittedNote): Refusal {
  return refuse("origin-unknown", `no log with the origin ${quote(checkpoint.origin)} is configured`);
}

function faultOf(verify: () => void): string | undefined {
  try {
    verify();
    return undefined;
  } catch (cause) {
    if (cause instanceof TlogError) return messageOf(cause);
    throw cause;
  }
}

function refuse(code: RefusalCode, message: string): Refusal {
  return { kind: "refuse", code, message };
}

/** Making our cosignatures, and the time that goes into them. */
import { type Signer, formatNote, signSubtree, signatureLine } from "@tallystick/core";
import { WitnessError } from "./error.ts";
import type { AddCheckpointRequest, SignSubtreeRequest } from "./request.ts";
import type { OriginState } from "./state.ts";
import { type VerifiedLine, firstOfEachKey } from "./verified-line.ts";

/** How far the clock may be behind our last cosignature. More is no clock that was set back a little, but a wrong one. */
export const CLOCK_BEHIND_MAX_SECONDS = 172_800n;

/**
 * The time of the next cosignature: the clock's, but never before that of the last one for this log.
 *
 * @throws {WitnessError} `clock-behind`: the clock is more than two days behind the last one.
 */
export function nextTime(nowMs: number, state: OriginState | undefined): bigint {
  const now = BigInt(Math.max(1, Math.floor(nowMs / 1000)));
  const last = state?.time ?? 0n;
  if (last - now > CLOCK_BEHIND_MAX_SECONDS) {
    const message = `the clock says ${now}, and the last cosignature for this log is of ${last}; set the clock right`;
    throw new WitnessError("clock-behind", message, { details: { now: Number(now), last: Number(last) } });
  }
  return now > last ? now : last;
}

export interface CosignInput {
  readonly request: AddCheckpointRequest;
  readonly logLines: readonly VerifiedLine[];
  readonly state: OriginState | undefined;
  readonly time: bigint;
  readonly signers: readonly Signer[];
}

export interface Cosigned {
  readonly next: OriginState;
  /** Signature lines, each with its newline. */
  readonly lines: string;
}

/** Cosigns a checkpoint with all keys. Nobody may see the lines before `next` is durable. */
export function cosignCheckpoint({ request, logLines, state, time, signers }: CosignInput): Cosigned {
  const { note, checkpoint } = request;
  const own = signers.map((signer) => signatureLine({ signer, noteText: note.text, timestamp: time }));
  const signatures = [...firstOfEachKey(logLines).map(({ line }) => line), ...own];
  const next: OriginState = {
    origin: checkpoint.origin,
    generation: (state?.generation ?? 0) + 1,
    time,
    note: formatNote({ text: note.text, signatures }),
    checkpoint,
  };
  return { next, lines: joinLines(own) };
}

/** Signs a subtree of a checkpoint with those keys whose signatures can say so. */
export function cosignSubtree(request: SignSubtreeRequest, signers: readonly Signer[]): string {
  const { origin } = request.checkpoint;
  const { start, end, subtreeHash: hash } = request;
  const capable = signers.filter(({ type }) => type === "mldsa44");
  return joinLines(capable.map((signer) => signSubtree({ signer, origin, start, end, hash })));
}

function joinLines(lines: readonly string[]): string {
  return lines.map((line) => `${line}\n`).join("");
}

/**
 * Whether our own signatures know more than our state does.
 *
 * Everything that we cosign is on disk before anybody sees it. So a valid cosignature of ours for a larger tree, another
 * tree of the same size, or a later time than our state has means that the state is an older copy, or that another
 * witness runs with our keys. Either way we must not sign for this log.
 */
import { type Checkpoint, equalBytes } from "@tallystick/core";
import type { OriginState } from "./state.ts";
import type { VerifiedLine } from "./verified-line.ts";

export interface OwnHead {
  readonly checkpoint: Checkpoint;
  /** Our valid cosignatures on it. */
  readonly ownLines: readonly VerifiedLine[];
}

/** Says how a head that we cosigned is ahead of our state, or gives `undefined` where it is not. */
export function describeRollback(
  { checkpoint, ownLines }: OwnHead,
  state: OriginState | undefined,
): string | undefined {
  if (ownLines.length === 0) return undefined;
  if (state === undefined) return `this witness has cosigned size ${checkpoint.size}, and remembers nothing`;
  const { size, rootHash } = state.checkpoint;
  if (checkpoint.size > size) return `this witness has cosigned size ${checkpoint.size}, and remembers size ${size}`;
  if (checkpoint.size === size && !equalBytes(checkpoint.rootHash, rootHash)) {
    return `this witness has cosigned another root hash for size ${size} than it remembers`;
  }
  const later = ownLines.find(({ timestamp }) => timestamp !== undefined && timestamp > state.time);
  return later && `this witness has cosigned at ${later.timestamp}, and remembers ${state.time} as the last time`;
}

/** Everything that is fuzzed. */
import type { Subject } from "./kind.ts";
import { CHECKPOINT } from "./subjects/checkpoint.ts";
import { ED25519 } from "./subjects/ed25519.ts";
import { CONSISTENCY, INCLUSION } from "./subjects/merkle.ts";
import { NOTE } from "./subjects/note.ts";
import { POLICY } from "./subjects/policy.ts";
import { QUORUM } from "./subjects/quorum.ts";
import { TILE_PATH } from "./subjects/tile-path.ts";
import { TLOG_PROOF } from "./subjects/tlog-proof.ts";
import { VKEY } from "./subjects/vkey.ts";

export const SUBJECTS: readonly Subject[] = [
  NOTE,
  VKEY,
  CHECKPOINT,
  POLICY,
  QUORUM,
  TLOG_PROOF,
  INCLUSION,
  CONSISTENCY,
  TILE_PATH,
  ED25519,
];

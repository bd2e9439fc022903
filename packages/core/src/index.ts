/** RFC 6962 trees, proofs, tiles, signed notes, checkpoints, cosignatures and policies: pure and isomorphic. */
export { sha256 } from "#crypto";

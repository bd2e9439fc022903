/** RFC 6962 trees, proofs, tiles, signed notes, checkpoints, cosignatures and policies: pure and isomorphic. */
export {
  ed25519PublicKey,
  ed25519Sign,
  ed25519Verify,
  mldsa44PublicKey,
  mldsa44Sign,
  mldsa44Verify,
  sha256,
} from "#crypto";
export {
  type ErrorOptionsWithDetails,
  TallystickError,
  TlogError,
  type TlogErrorCode,
  invariant,
  quote,
} from "./error.ts";
export { UINT_MAX, type Uint, assertSafeUint, formatUint, parseUint, toBigInt, toUint } from "./uint.ts";
export { base64Length, decodeBase64, encodeBase64, writeBase64 } from "./base64.ts";
export {
  UTF8_UNIT_BYTES_MAX,
  compareBytes,
  concatBytes,
  decodeHex,
  decodeUtf8,
  encodeHex,
  equalBytes,
  readU32,
  readU64,
  u16,
  u32,
  u64,
  u8,
  utf8,
} from "./bytes.ts";
export { HASH_BYTES, type Hash, assertHash, emptyRootHash, hashLeaf, hashNode } from "./hash.ts";
export { hashLeaves, hashNodes, sha256All, splitHashes } from "./hashes.ts";
export type { AeadInput, AeadRoom, PlacedBytes } from "./aead-portable.ts";
export { encryptAll, encryptAllInRoom } from "./aead.ts";
export type { NodeId } from "./node.ts";
export type { ProofPlan } from "./path.ts";
export { CompactRange, type NodeListener, type NodesListener, compactRangeNodes, treeHash } from "./compact-range.ts";
export {
  type ConsistencyClaim,
  type ConsistencyEnds,
  type InclusionClaim,
  type InclusionEnds,
  type NodeReader,
  planConsistency,
  planInclusion,
  proveConsistency,
  proveInclusion,
  verifyConsistency,
  verifyInclusion,
} from "./proof.ts";
export {
  type Subtree,
  type SubtreeConsistencyClaim,
  type SubtreeConsistencyEnds,
  type SubtreeInclusionClaim,
  type SubtreeInclusionEnds,
  coverSubtrees,
  isValidSubtree,
  planSubtreeConsistency,
  planSubtreeHash,
  planSubtreeInclusion,
  proveSubtreeConsistency,
  proveSubtreeInclusion,
  subtreeHash,
  verifySubtreeConsistency,
  verifySubtreeInclusion,
} from "./subtree.ts";
export {
  type BundleId,
  type NodeLocation,
  TILE_HEIGHT,
  TILE_WIDTH,
  type TileId,
  type TileSlice,
  bundleOfEntry,
  decodeTile,
  encodeTile,
  entriesPath,
  nodeFromTile,
  parseEntriesPath,
  parseTilePath,
  tileOfNode,
  tilePath,
  tilesForSize,
} from "./tile.ts";
export { ENTRY_BYTES_MAX, decodeEntryBundle, encodeEntryBundle, verifyEntryBundle } from "./entry-bundle.ts";
export {
  NOTE_BYTES_MAX,
  NOTE_SIGNATURES_MAX,
  type Note,
  type NoteSignature,
  formatNote,
  formatSignatureLine,
  isKeyName,
  parseNote,
  parseSignatureLine,
} from "./note.ts";
export { ORIGIN_BYTES_MAX, type Checkpoint, formatCheckpoint, originHash, parseCheckpoint } from "./checkpoint.ts";
export {
  type CosignedSubtree,
  checkpointCosignatureMessage,
  decodeTimestamped,
  ed25519CosignatureMessage,
  encodeTimestamped,
  mldsa44CosignatureMessage,
} from "./cosignature.ts";
export {
  type KeyType,
  type SignatureClaim,
  type Verifier,
  computeKeyId,
  createVerifier,
  formatKeyId,
  formatVkey,
  parseVkey,
} from "./vkey.ts";
export {
  type Signer,
  type SignerType,
  createSigner,
  formatSignerKey,
  parseSignerKey,
  signNote,
  signSubtree,
  signatureLine,
} from "./signer.ts";
export { type OpenedNote, type VerifiedSignature, mergeCosignatures, openNote, openSignatures } from "./open-note.ts";
export {
  type Policy,
  type PolicyGroup,
  type PolicyInput,
  type PolicyLog,
  type PolicyWitness,
  formatPolicy,
  parsePolicy,
} from "./policy.ts";
export {
  type Cosignature,
  type VerifiedCheckpoint,
  type VerifyCheckpointInput,
  evaluateQuorum,
  minimalWitnessSets,
  selectSignatures,
  smallestWitnessSet,
  verifyCheckpoint,
} from "./quorum.ts";
export {
  type OpenedTlogProof,
  type TlogProof,
  formatTlogProof,
  openTlogProof,
  parseTlogProof,
  tlogProofFormatter,
  verifyTlogProof,
} from "./tlog-proof.ts";
export { TlogProofVerifier, type VerifiedEntry } from "./tlog-proof-verifier.ts";

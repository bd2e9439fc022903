/** RFC 6962 trees, proofs, tiles, signed notes, checkpoints, cosignatures and policies: pure and isomorphic. */
export { sha256 } from "#crypto";
export {
  type ErrorOptionsWithDetails,
  TallystickError,
  TlogError,
  type TlogErrorCode,
  invariant,
  quote,
} from "./error.ts";
export { UINT_MAX, type Uint, assertSafeUint, formatUint, parseUint, toBigInt, toUint } from "./uint.ts";
export {
  compareBytes,
  concatBytes,
  decodeBase64,
  decodeHex,
  decodeUtf8,
  encodeBase64,
  encodeHex,
  equalBytes,
  readU64,
  u16,
  u32,
  u64,
  u8,
  utf8,
} from "./bytes.ts";
export { HASH_BYTES, type Hash, assertHash, emptyRootHash, hashLeaf, hashNode } from "./hash.ts";

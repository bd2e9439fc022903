/** Event model and catalogue, canonical CBOR, commitments, leaves, batches and sealing: pure and isomorphic. */
export { type Claim, claimOfLeaf, encodeClaim } from "./claim.ts";
export { COMMITMENT_BYTES, SALT_BYTES, computeCommitment, verifyOpening } from "./commitment.ts";
export {
  CBOR_DEPTH_MAX,
  type CborMap,
  type CborValue,
  type DecodeCborOptions,
  EVENT_BYTES_MAX,
  decodeCbor,
  encodeCbor,
} from "./cbor.ts";
export { EventError, type EventErrorCode } from "./error.ts";
export { EVIDENCE_FORMAT, type Evidence, formatEvidence, parseEvidence } from "./evidence.ts";
export {
  BATCH_ENTRIES_MAX,
  CLASS_PATTERN,
  type Chain,
  type Leaf,
  type LeafSignature,
  decodeLeaf,
  encodeLeaf,
} from "./leaf.ts";
export { type Opening, decodeOpening, encodeOpening } from "./opening.ts";
export {
  NONCE_BYTES,
  type SealInput,
  type SealedEvent,
  decodeSealed,
  keyFingerprint,
  openSealed,
  sealKey,
  sealOpening,
} from "./sealed-event.ts";
export { STREAM_ID_BYTES, type Sender, streamId, writerStreamId } from "./stream.ts";
export {
  type PersonTagInput,
  TAG_BYTES,
  actorTag,
  dayOf,
  personDayKey,
  sessionTag,
  sessionTagOf,
  subjectTag,
  tenantTag,
} from "./tags.ts";

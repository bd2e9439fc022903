/** Event model and catalogue, canonical CBOR, commitments, leaves, batches and sealing: pure and isomorphic. */
export {
  BATCH_BYTES_MAX,
  BATCH_MEDIA_TYPE,
  type BatchBounds,
  type SignBatchInput,
  type SignedBatch,
  type VerifiedBatch,
  batchMessage,
  batchRoot,
  decodeBatch,
  encodeBatch,
  signBatch,
  verifyBatch,
} from "./batch.ts";
export { type BatchOrigin, type ProveBatchOriginInput, proveBatchOrigin, verifyBatchOrigin } from "./batch-origin.ts";
export {
  CERTIFICATE_LIMITS,
  CERTIFICATE_TYPE,
  type Certificate,
  type CertificateScope,
  type CertifiedClassDay,
  type CertifiedTag,
  certificateContext,
  coversLeaf,
  isOwnLeaf,
  mayKeep,
  parseCertificate,
  personTag,
} from "./certificate.ts";
export {
  CertificateAudit,
  Certificates,
  HOLD_CLASS,
  HOLD_TYPE,
  NO_DIGEST,
  type PromisedDays,
  RULES_TYPE,
  type Shown,
} from "./certificate-audit.ts";
export { type Claim, claimOfLeaf, encodeClaim } from "./claim.ts";
export { COMMITMENT_BYTES, computeCommitment, computeCommitments, verifyOpening } from "./commitment.ts";
export {
  CBOR_DEPTH_MAX,
  type CborMap,
  type CborValue,
  type DecodeCborOptions,
  EVENT_BYTES_MAX,
  decodeCbor,
  encodeCbor,
} from "./cbor.ts";
export { LENGTH_HEAD_BYTES_MAX, putByteStringHead } from "./cbor-head.ts";
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
  encodeLeaves,
  readLoggedAt,
} from "./leaf.ts";
export { type Opening, SALT_BYTES, decodeOpening, encodeOpening, encodeOpenings } from "./opening.ts";
export {
  NONCE_BYTES,
  type SealInput,
  type SealedEvent,
  decodeSealed,
  keyFingerprint,
  openSealed,
  sealKey,
  sealOpening,
  sealOpeningsInRoom,
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
export {
  type ApplicationType,
  CATALOGUE,
  CORE_NAMESPACES,
  type CatalogueEntry,
  type OcsfActivity,
  type Reporter,
  type RequirableField,
  type RequiredFieldOf,
  type TypeProblem,
  catalogueEntry,
  typeProblem,
} from "./catalogue.ts";
export { CONTEXT_LIMITS, type Context, type ContextValue } from "./context.ts";
export type { EventDefect } from "./defects.ts";
export {
  type Actor,
  type EventFields,
  type EventInput,
  type EventJson,
  type Outcome,
  type Subject,
  type Target,
  type TallyEvent,
  eventToJson,
  isHashedSessionId,
  normaliseSession,
  personOf,
  personalId,
  retentionClass,
} from "./event.ts";
export { decodeEvent, encodeEvent, encodeEvents } from "./event-codec.ts";
export { EVENT_TYPE_PATTERN } from "./event-schema.ts";
export { type LinePosition, importedEventId, newEventId } from "./event-id.ts";
export { type ImportedLine, UNREADABLE_TYPE } from "./imports/imported-line.ts";
export { type JsonLinesImportOptions, createJsonLinesImport } from "./imports/json-lines.ts";
export { type OpenSshImportOptions, createOpenSshImport } from "./imports/openssh.ts";
export { inferFirstYear } from "./imports/syslog.ts";
export { JSON_DEPTH_MAX, type JsonValue, parseJson } from "./json.ts";
export { eventJsonSchema } from "./json-schema.ts";
export { assertOptionNames } from "./option-names.ts";
export { assertReportable, parseEvent } from "./parse-event.ts";
export {
  type CertificateFindingCode,
  type ChainEnd,
  type Finding,
  type FindingCode,
  LeafAudit,
  type StreamState,
  finding,
} from "./leaf-audit.ts";
export { nearest } from "./suggestion.ts";

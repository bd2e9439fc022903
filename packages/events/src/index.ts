/** Event model and catalogue, canonical CBOR, commitments, leaves, batches and sealing: pure and isomorphic. */
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

/**
 * One row of a key store, of fixed size.
 *
 * Row: lookup (16) | kind u8 | state u8 | zero (6) | nonce (24) | wrapped (32 + 16). What is wrapped is the key, or after
 * its destruction its fingerprint. The associated data bind it to the epoch, the lookup, the kind and the state.
 */
import {
  KEY_BYTES,
  NONCE_BYTES,
  type RandomSource,
  TAG_BYTES,
  unwrapSecret,
  type Wrapping,
  wrapSecret,
} from "./key-wrap.ts";
import type { KeyEpoch } from "./key-epoch.ts";
import type { KeyKind } from "./key-store.ts";

export const LOOKUP_BYTES = 16;
const NONCE_AT = LOOKUP_BYTES + 8;
const WRAPPED_AT = NONCE_AT + NONCE_BYTES;
export const ROW_BYTES: number = WRAPPED_AT + KEY_BYTES + TAG_BYTES;

/** Written in the rows: never changed. */
const KIND_CODES: Readonly<Record<KeyKind, number>> = { "class-day": 1, person: 2, tenant: 3, secret: 4 };
const STATE_CODES = { live: 1, destroyed: 2 } as const;

export type RowState = keyof typeof STATE_CODES;

export interface KeyRow {
  readonly lookup: Uint8Array;
  readonly kind: number;
  readonly state: RowState;
  /** The key of a live row, the fingerprint of a destroyed one; 32 bytes. */
  readonly secret: Uint8Array;
}

export function kindCode(kind: KeyKind): number {
  return KIND_CODES[kind];
}

export function encodeRow(row: KeyRow, epoch: KeyEpoch, random: RandomSource): Uint8Array {
  const bytes = new Uint8Array(ROW_BYTES);
  bytes.set(row.lookup);
  bytes[LOOKUP_BYTES] = row.kind;
  bytes[LOOKUP_BYTES + 1] = STATE_CODES[row.state];
  bytes.set(random(NONCE_BYTES), NONCE_AT);
  bytes.set(wrapSecret(wrappingOf(bytes, epoch), row.secret), WRAPPED_AT);
  return bytes;
}

/** The row, or `undefined` where it is damaged, of another epoch, or was moved or changed. */
export function decodeRow(bytes: Uint8Array, epoch: KeyEpoch): KeyRow | undefined {
  if (bytes.length !== ROW_BYTES) return undefined;
  const secret = unwrapSecret(wrappingOf(bytes, epoch), bytes.subarray(WRAPPED_AT));
  const state = stateOf(bytes[LOOKUP_BYTES + 1]);
  if (secret === undefined || state === undefined) return undefined;
  return { lookup: lookupOf(bytes), kind: bytes[LOOKUP_BYTES] ?? 0, state, secret };
}

export function lookupOf(bytes: Uint8Array): Uint8Array {
  return bytes.subarray(0, LOOKUP_BYTES);
}

function stateOf(code: number | undefined): RowState | undefined {
  if (code === STATE_CODES.live) return "live";
  return code === STATE_CODES.destroyed ? "destroyed" : undefined;
}

function wrappingOf(bytes: Uint8Array, epoch: KeyEpoch): Wrapping {
  return {
    key: epoch.key,
    nonce: bytes.subarray(NONCE_AT, WRAPPED_AT),
    // Lookup, kind, state and the zeros: all that stands before the nonce.
    associatedData: Buffer.concat([Buffer.from("tallystick/key-row/v1\0"), epoch.id, bytes.subarray(0, NONCE_AT)]),
  };
}

/**
 * The sealed event: an opening encrypted so that destroying 32 bytes erases it: docs/reference/formats.md, "Sealed event".
 *
 * Its key is made from two, that of the class and day and that of the person: to be read it takes both.
 */
import { xchacha20poly1305 } from "@noble/ciphers/chacha.js";
import { type AeadRoom, type PlacedBytes, concatBytes, encryptAllInRoom, invariant, u8 } from "@tallystick/core";
import { assertBytes, assertInteger } from "./assert.ts";
import { LENGTH_HEAD_BYTES_MAX, putByteStringHead } from "./cbor-head.ts";
import { type CborWriter, encodeWith } from "./cbor-writer.ts";
import { COMMITMENT_BYTES, verifyOpening } from "./commitment.ts";
import { domainHash, domainPrefix } from "./domain.ts";
import { EventError } from "./error.ts";
import { FieldReader } from "./field-reader.ts";
import { CLASS_PATTERN } from "./leaf.ts";

export interface SealedEvent {
  /** The retention class whose key of `day` it is sealed under. */
  readonly class: string;
  /** The day of logged-at, counted from 1970. */
  readonly day: number;
  /** 24 bytes. */
  readonly nonce: Uint8Array;
  /** The encrypted opening and, last, the 16 bytes of its authentication tag. */
  readonly ciphertext: Uint8Array;
}

export const NONCE_BYTES = 24;

const VERSION = 1;
const KEY_BYTES = 32;
const DAY_MAX = 2 ** 32 - 1;
const AEAD_TAG_BYTES = 16;
const SEAL_PREFIX = domainPrefix("tallystick/seal/v1");
const SEALED_PREFIX = domainPrefix("tallystick/sealed/v1");
const KEY_PREFIX = domainPrefix("tallystick/key/v1");
/** Whether a person's key follows. */
const [NO_PERSON, PERSON] = [u8(0), u8(1)];
const reader = new FieldReader("sealed-malformed");

/**
 * The key of a sealed event: SHA-256("tallystick/seal/v1" 0x00 K-class-day u8(1) K-person), or with u8(0) alone after
 * K-class-day where the event has no person.
 */
export function sealKey(keys: { readonly classDayKey: Uint8Array; readonly personKey: Uint8Array | null }): Uint8Array {
  const { classDayKey, personKey } = keys;
  assertBytes(classDayKey, KEY_BYTES, "classDayKey");
  if (personKey === null) return domainHash(SEAL_PREFIX, classDayKey, NO_PERSON);
  assertBytes(personKey, KEY_BYTES, "personKey");
  return domainHash(SEAL_PREFIX, classDayKey, PERSON, personKey);
}

/** The name of a key that does not tell it: SHA-256("tallystick/key/v1" 0x00 key). For keys of 32 random bytes only. */
export function keyFingerprint(key: Uint8Array): Uint8Array {
  assertBytes(key, KEY_BYTES, "key");
  return domainHash(KEY_PREFIX, key);
}

export interface SealInput {
  readonly class: string;
  readonly day: number;
  /** 24 random bytes, never used twice under one key. */
  readonly nonce: Uint8Array;
  /** Made by {@link sealKey}. */
  readonly key: Uint8Array;
  /** Of the leaf: a sealed event moved to another leaf does not open. */
  readonly commitment: Uint8Array;
  /** The encoded opening. */
  readonly opening: Uint8Array;
}

/** Seals an opening: `[1, class, day, nonce, ciphertext]`. Does not check that it opens the commitment. */
export function sealOpening(input: SealInput): Uint8Array {
  const [sealed] = sealOpeningsInRoom([input], { before: 0, after: 0 });
  invariant(sealed !== undefined, "what is sealed alone is sealed");
  return sealed.bytes.subarray(sealed.start, sealed.end);
}

/**
 * {@link sealOpening} of each, in half of the time that one by one they take, with room around each sealed event: what is to
 * stand there need not be copied together with it.
 *
 * @throws {RangeError} More room is asked for than there is, 24 bytes for both sides of one.
 */
export function sealOpeningsInRoom(inputs: readonly SealInput[], { before, after }: AeadRoom): PlacedBytes[] {
  inputs.forEach(assertSealInput);
  const ciphertexts = encryptAllInRoom(
    inputs.map(({ key, nonce, commitment, opening }) => ({
      key,
      nonce,
      associatedData: associatedData(commitment),
      plaintext: opening,
    })),
    { before: before + SEALED_HEAD_BYTES_MAX, after },
  );
  const heads: ClassHead[] = [];
  return ciphertexts.map((place, at) => {
    const input = inputs[at];
    invariant(input !== undefined, "each ciphertext is of an input");
    return { bytes: place.bytes, start: putHead(place, input, heads), end: place.end };
  });
}

/** Of a sealed event, all but its ciphertext: two heads, class, day, nonce, and the ciphertext's head. */
const SEALED_HEAD_BYTES_MAX = 2 + 34 + 5 + 2 + NONCE_BYTES + LENGTH_HEAD_BYTES_MAX;

function assertSealInput({ class: retentionClass, day, nonce, key }: SealInput): void {
  if (!CLASS_PATTERN.test(retentionClass))
    throw new TypeError(`class: expected text that matches ${CLASS_PATTERN.source}`);
  assertInteger(day, { min: 0, max: DAY_MAX }, "day");
  assertBytes(nonce, NONCE_BYTES, "nonce");
  assertBytes(key, KEY_BYTES, "key");
}

/** What sealed events of a class and day begin with. */
interface ClassHead {
  readonly class: string;
  readonly day: number;
  readonly bytes: Uint8Array;
}

/** Writes what stands in front of a ciphertext; gives where it starts. Keeps in `heads` what others begin with as well. */
function putHead({ bytes, start, end }: PlacedBytes, input: SealInput, heads: ClassHead[]): number {
  const nonceEnd = putByteStringHead(bytes, start, end - start);
  bytes.set(input.nonce, nonceEnd - NONCE_BYTES);
  const classEnd = putByteStringHead(bytes, nonceEnd - NONCE_BYTES, NONCE_BYTES);
  const head = classHead(input, heads);
  bytes.set(head, classEnd - head.length);
  return classEnd - head.length;
}

function classHead({ class: retentionClass, day }: SealInput, heads: ClassHead[]): Uint8Array {
  for (const known of heads) if (known.class === retentionClass && known.day === day) return known.bytes;
  const bytes = encodeWith(writeClassHead, { class: retentionClass, day });
  heads.push({ class: retentionClass, day, bytes });
  return bytes;
}

function writeClassHead(to: CborWriter, head: Pick<ClassHead, "class" | "day">): void {
  to.array(5);
  to.integer(VERSION);
  to.text(head.class);
  to.integer(head.day);
}

/**
 * Decodes a sealed event, to find its keys. Nothing in it is authentic before it has been opened.
 *
 * @throws {EventError} `cbor-malformed` or `sealed-malformed`.
 */
export function decodeSealed(bytes: Uint8Array): SealedEvent {
  const parts = reader.versioned(bytes, "sealed event", { length: 5 });
  return {
    class: reader.text(parts[1], "class", CLASS_PATTERN),
    day: reader.integer(parts[2], "day", { min: 0, max: DAY_MAX }),
    nonce: reader.bytes(parts[3], "nonce", NONCE_BYTES),
    ciphertext: reader.bytes(parts[4], "ciphertext", { min: AEAD_TAG_BYTES + 1 }),
  };
}

/**
 * Opens a sealed event: decrypts it, recomputes the commitment, and compares. Returns the encoded opening.
 *
 * @param input.sealed - Encoded, or decoded already to find the keys.
 * @throws {EventError} `cbor-malformed`, `sealed-malformed`; `sealed-unopenable`: another key or commitment, or changed
 *   bytes; `commitment-mismatch`, `opening-malformed`: it was sealed for this commitment with other contents.
 */
export function openSealed(input: {
  readonly sealed: Uint8Array | SealedEvent;
  readonly key: Uint8Array;
  readonly commitment: Uint8Array;
}): Uint8Array {
  const { sealed, key, commitment } = input;
  assertBytes(key, KEY_BYTES, "key");
  const { nonce, ciphertext } = sealed instanceof Uint8Array ? decodeSealed(sealed) : sealed;
  const opening = decrypt(() => xchacha20poly1305(key, nonce, associatedData(commitment)).decrypt(ciphertext));
  verifyOpening({ opening, commitment });
  return opening;
}

function associatedData(commitment: Uint8Array): Uint8Array {
  assertBytes(commitment, COMMITMENT_BYTES, "commitment");
  return concatBytes(SEALED_PREFIX, commitment);
}

function decrypt(work: () => Uint8Array): Uint8Array {
  try {
    return work();
  } catch (cause) {
    const text = "the sealed event does not open: another key, another commitment, or changed bytes";
    throw new EventError("sealed-unopenable", text, { cause });
  }
}

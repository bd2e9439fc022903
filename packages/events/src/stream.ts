/** Stream ids: who sent an event, as its leaf names them: docs/reference/formats.md, "Stream". */
import { u8, utf8 } from "@tallystick/core";
import { assertBytes, assertInteger } from "./assert.ts";
import { domainHash, domainPrefix } from "./domain.ts";

/** The length of a stream id, and of a tag. */
export const STREAM_ID_BYTES = 16;

export interface Sender {
  /** The Ed25519 public key, 32 bytes. */
  readonly publicKey: Uint8Array;
  /** 16 random bytes, one for each outbox. */
  readonly instance: Uint8Array;
}

const STREAM_PREFIX = domainPrefix("tallystick/stream/v1");
const WRITER_PREFIX = domainPrefix("tallystick/writer/v1");

/**
 * The id of a signed stream: SHA-256("tallystick/stream/v1" 0x00 u8(length) origin public-key instance)[:16].
 *
 * @param origin - Of the log, 1 to 255 bytes: one key signs other streams for another log.
 * @throws {TypeError | RangeError} A length is out of bounds.
 */
export function streamId({ origin, publicKey, instance }: Sender & { readonly origin: string }): Uint8Array {
  const originBytes = utf8(origin);
  assertInteger(originBytes.length, { min: 1, max: 255 }, "origin: its length in bytes");
  assertBytes(publicKey, 32, "publicKey");
  assertBytes(instance, 16, "instance");
  const hash = domainHash(STREAM_PREFIX, u8(originBytes.length), originBytes, publicKey, instance);
  return hash.slice(0, STREAM_ID_BYTES);
}

/** The stream id of what a credential sends unsigned: SHA-256("tallystick/writer/v1" 0x00 credential-id)[:16]. */
export function writerStreamId(credentialId: string): Uint8Array {
  return domainHash(WRITER_PREFIX, credentialId).slice(0, STREAM_ID_BYTES);
}

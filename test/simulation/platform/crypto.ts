/** In place of `node:crypto`: the same but for what is random, and for what takes long and is asked again. */
import { type KeyObject, createHash, sign as realSign, verify as realVerify } from "node:crypto";
import { randomBytes } from "./random-bytes.ts";

export * from "node:crypto";
export { randomBytes };

export function randomUUID(): string {
  const hex = randomBytes(16).toString("hex");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20)}`;
}

const MLDSA44_SIGNATURE_BYTES = 2420;

/**
 * ML-DSA signatures are random and take milliseconds each. Nobody here trusts an ML-DSA key, so nobody verifies one:
 * what stands in for it has its length, and is the same for the same message.
 */
export function sign(algorithm: string | null | undefined, data: Uint8Array, key: KeyObject): Buffer {
  if (key.asymmetricKeyType !== "ml-dsa-44") return realSign(algorithm, data, key);
  return createHash("shake256", { outputLength: MLDSA44_SIGNATURE_BYTES }).update(data).digest();
}

/** What was verified lately: a dozen hosts in one process verify the same signatures. */
const verified = new Map<string, boolean>();
const VERIFIED_MAX = 20_000;

const numbers = new WeakMap<KeyObject, number>();
let lastNumber = 0;

function numberOf(key: KeyObject): number {
  const known = numbers.get(key);
  if (known !== undefined) return known;
  lastNumber += 1;
  numbers.set(key, lastNumber);
  return lastNumber;
}

/** The answer is the same whoever asks, so that it can be kept. */
export function verify(
  algorithm: string | null | undefined,
  data: Uint8Array,
  key: KeyObject,
  signature: Uint8Array,
): boolean {
  const name = `${numberOf(key)} ${Buffer.concat([signature, data]).toString("latin1")}`;
  const known = verified.get(name);
  if (known !== undefined) return known;
  if (verified.size >= VERIFIED_MAX) verified.clear();
  const holds = realVerify(algorithm, data, key, signature);
  verified.set(name, holds);
  return holds;
}

/** Ed25519 signatures: verified by us and by Go's crypto/ed25519. */
import { ed25519PublicKey, ed25519Sign, ed25519Verify, utf8 } from "@tallystick/core";
import { type Input, type Kind, REFUSED, type Subject } from "../kind.ts";

const P = 2n ** 255n - 19n;

/** y of the points whose order divides 8. */
const SMALL_ORDER_Y: readonly bigint[] = [
  0n,
  1n,
  P - 1n,
  ...[
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
  ].map((hex) => yOf(new Uint8Array(Buffer.from(hex, "hex")))),
];

/** The y that an encoding of a point says, with or without the bit for the sign of x. */
function yOf(encoded: Uint8Array): bigint {
  return BigInt(`0x${Buffer.from(encoded).reverse().toString("hex") || "0"}`) % 2n ** 255n;
}

/** Every encoding of a point of small order, canonical or not. */
export const SMALL_ORDER_POINTS: readonly Uint8Array[] = SMALL_ORDER_Y.flatMap((y) =>
  [y, y + P].filter((value) => value < 2n ** 255n).flatMap((value) => [encode(value), encode(value + 2n ** 255n)]),
);

function encode(value: bigint): Uint8Array {
  return new Uint8Array(Buffer.from(value.toString(16).padStart(64, "0"), "hex").reverse());
}

function isOddPoint(encoded: Uint8Array): boolean {
  const y = yOf(encoded);
  return y >= P || SMALL_ORDER_Y.includes(y);
}

/** A key, a message and a signature, from a seed. */
export function honestSignature(seed: Uint8Array, message: Uint8Array): Input {
  return [ed25519PublicKey(seed), message, ed25519Sign(seed, message)];
}

/** The identity as a key: R = [S]B is then a signature of every message. */
const IDENTITY = encode(1n);

const KINDS: readonly Kind[] = [
  {
    name: "ed25519-odd-point",
    covers: "C-40",
    of: ["crypto/ed25519"],
    form: "we-refuse",
    holds: ([publicKey = new Uint8Array(), , signature = new Uint8Array()]) =>
      isOddPoint(publicKey) || isOddPoint(signature.subarray(0, 32)),
    example: [IDENTITY, utf8("any"), Uint8Array.of(...IDENTITY, ...new Uint8Array(32))],
  },
];

export const ED25519: Subject = {
  name: "ed25519",
  code: "e",
  share: 5,
  ours: ([publicKey = new Uint8Array(), message = new Uint8Array(), signature = new Uint8Array()]) =>
    ed25519Verify(publicKey, message, signature) ? "ok" : REFUSED,
  kinds: KINDS,
};

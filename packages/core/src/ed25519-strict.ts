/**
 * Which Ed25519 keys and signatures are looked at all, so that every implementation underneath gives the same verdict.
 *
 * RFC 8032 leaves room: libraries differ on encodings that are not canonical, on keys and nonces of small order (OpenSSL
 * under Node refuses an R of small order, which its equation would allow), on S >= L. All of these are refused here. What
 * is left is the cofactorless equation, compared by encoding, in which they agree.
 */
const KEY_BYTES = 32;
const POINT_BYTES = 32;
const SIGNATURE_BYTES = 64;

/** 2^255 - 19, the prime of the field. Numbers here are 32 bytes, least significant first, as they are on the wire. */
const P = encode(2n ** 255n - 19n);
/** The order of the base point. */
const L = encode(2n ** 252n + 27742317777372353535851937790883648493n);

/** The y coordinates of the eight points whose order divides 8; each stands for a point and its negative. */
const SMALL_ORDER_Y: readonly Uint8Array[] = [
  0n,
  1n,
  2n ** 255n - 20n,
  2707385501144840649318225287225658788936804267575313519463743609750303402022n,
  55188659117513257062467267217118295137698188065244968500265048394206261417927n,
].map(encode);

/** Whether key and signature have the one encoding that RFC 8032 gives them, and neither A nor R is of small order. */
export function isStrictEd25519(publicKey: Uint8Array, signature: Uint8Array): boolean {
  return isStrictEd25519Key(publicKey) && isStrictEd25519Signature(signature);
}

export function isStrictEd25519Key(publicKey: Uint8Array): boolean {
  return publicKey.length === KEY_BYTES && isStrictPoint(publicKey);
}

export function isStrictEd25519Signature(signature: Uint8Array): boolean {
  return signature.length === SIGNATURE_BYTES && isStrictPoint(signature) && isBelow(signature, POINT_BYTES, L);
}

/** Of the point at the start of the bytes. With x = 0 the sign bit would give a second encoding, but both such points are of small order. */
function isStrictPoint(bytes: Uint8Array): boolean {
  return isBelow(bytes, 0, P, SIGN_BIT) && !SMALL_ORDER_Y.some((smallOrderY) => isAtStart(smallOrderY, bytes));
}

/** The sign of x, in the last byte. */
const SIGN_BIT = 128;

/** Whether bytes begin with a y coordinate, whatever the sign of x. */
function isAtStart(y: Uint8Array, bytes: Uint8Array): boolean {
  for (let at = 0; at < POINT_BYTES - 1; at += 1) if (bytes[at] !== y[at]) return false;
  return Number(bytes[POINT_BYTES - 1]) % SIGN_BIT === y[POINT_BYTES - 1];
}

/** Whether the number at `from` is below a bound. `topLimit`: the last byte is taken modulo this. */
function isBelow(bytes: Uint8Array, from: number, bound: Uint8Array, topLimit = 256): boolean {
  let at = bound.length - 1;
  const top = Number(bytes[from + at]) % topLimit;
  if (top !== bound[at]) return top < Number(bound[at]);
  do at -= 1;
  while (at > 0 && bytes[from + at] === bound[at]);
  return Number(bytes[from + at]) < Number(bound[at]);
}

function encode(value: bigint): Uint8Array {
  return Uint8Array.from({ length: POINT_BYTES }, (_, at) => Number((value / 256n ** BigInt(at)) % 256n));
}

/** The integer that bytes stand for, least significant first. */
export function littleEndian(bytes: Uint8Array): bigint {
  let hex = "";
  for (const byte of bytes.toReversed()) hex += byte.toString(16).padStart(2, "0");
  return BigInt(`0x${hex}`);
}

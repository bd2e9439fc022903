/** Verifier keys: parsed by us, by x/mod (type 1 only) and by transparency-dev/formats. */
import {
  type KeyType,
  computeKeyId,
  decodeHex,
  decodeUtf8,
  encodeBase64,
  encodeHex,
  formatKeyId,
  parseVkey,
  sha256,
  utf8,
} from "@tallystick/core";
import type { Input, Kind, Subject } from "../kind.ts";
import { bytesOf, canonicalBase64, decodeLikeGo, isUtf8, octetsOf, textOf } from "../octets.ts";
import { LOG, PQ_WITNESS, WITNESS } from "../signers.ts";
import { assertWrittenBack, verdictOf } from "./verdict.ts";

function ours([octets = new Uint8Array()]: Input): string {
  return verdictOf(() => {
    const text = decodeUtf8(octets);
    const { name, keyId, vkey } = parseVkey(text);
    assertWrittenBack(text, vkey);
    return `${encodeHex(utf8(name))} ${formatKeyId(keyId)}`;
  });
}

/** A vkey in its three parts, as octets. */
export interface VkeyParts {
  readonly name: string;
  readonly id: string;
  readonly encoded: string;
}

export function splitVkey(octets: string): VkeyParts | undefined {
  const [, name, id, encoded] = /^([^+]*)\+([^+]*)\+(.*)$/s.exec(octets) ?? [];
  return name === undefined || id === undefined || encoded === undefined ? undefined : { name, id, encoded };
}

export function joinVkey({ name, id, encoded }: VkeyParts): string {
  return `${name}+${id}+${encoded}`;
}

/** The type and the public key, as Go reads them. */
export function keyOf({ encoded }: VkeyParts): { readonly type: number; readonly publicKey: Uint8Array } | undefined {
  const bytes = decodeLikeGo(encoded);
  const type = bytes?.[0];
  return bytes === undefined || type === undefined ? undefined : { type, publicKey: bytes.subarray(1) };
}

/** The vkey with the ID that name and key give, where they give one. */
export function withRightId(parts: VkeyParts): VkeyParts {
  const key = keyOf(parts);
  if (key === undefined || !isUtf8(parts.name)) return parts;
  return { ...parts, id: formatKeyId(computeKeyId({ name: textOf(parts.name), ...key })) };
}

/** The vkey as one of another type: the same 32 bytes where there are 32, else a hash of them. */
export function asType(parts: VkeyParts, type: KeyType): VkeyParts {
  const publicKey = keyOf(parts)?.publicKey ?? new Uint8Array();
  const bytes = Uint8Array.of(type, ...(publicKey.length === 32 ? publicKey : sha256(publicKey)));
  return withRightId({ ...parts, encoded: encodeBase64(bytes) });
}

/** The vkey in canonical base64, read as Go does. */
export function withCanonicalBase64(parts: VkeyParts): VkeyParts {
  return { ...parts, encoded: canonicalBase64(parts.encoded) };
}

/** Whether an ML-DSA-44 key has a name that no cosignature of it could hold. */
export function isLongMldsa44Name(parts: VkeyParts): boolean {
  return keyOf(parts)?.type === 6 && parts.name.length > 255;
}

const PUBLIC_KEY_BYTES: Readonly<Record<number, number>> = { 4: 32, 6: 1312 };

function mendVkey([octets = new Uint8Array()]: Input, mend: (parts: VkeyParts) => VkeyParts): Input {
  const parts = splitVkey(octetsOf(octets));
  return [parts === undefined ? octets : bytesOf(joinVkey(mend(parts)))];
}

function holdsFor(holds: (parts: VkeyParts) => boolean): (input: Input) => boolean {
  return ([octets = new Uint8Array()]) => {
    const parts = splitVkey(octetsOf(octets));
    return parts !== undefined && holds(parts);
  };
}

function example(vkey: string, alter: (parts: VkeyParts) => VkeyParts): Input {
  return mendVkey([utf8(vkey)], alter);
}

/** An ECDSA key (type 2): the base point of P-256. Its ID is made from the key alone. */
const ECDSA_VKEY = ((): string => {
  const spki = decodeHex(
    "3059301306072a8648ce3d020106082a8648ce3d030107034200046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c2964fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5",
  );
  const id = encodeHex(sha256(spki).subarray(0, 4));
  return `differential.example/ecdsa+${id}+${encodeBase64(Uint8Array.of(2, ...spki))}`;
})();

const KINDS: readonly Kind[] = [
  {
    name: "base64-not-canonical",
    covers: "C-20 C-21",
    of: ["x/mod", "formats"],
    form: "they-tolerate",
    mend: (input) => mendVkey(input, withCanonicalBase64),
    example: example(LOG.vkey, (parts) => ({ ...parts, encoded: `\n${parts.encoded}\r` })),
  },
  {
    name: "vkey-control-character",
    covers: "C-15",
    of: ["x/mod", "formats"],
    form: "we-refuse",
    // oxlint-disable-next-line no-control-regex -- what the kind is about
    holds: holdsFor(({ name }) => /[\0-\x1f]/.test(name)),
    example: example(LOG.vkey, (parts) => withRightId({ ...parts, name: "a\u001fb" })),
  },
  {
    name: "vkey-id-in-upper-case",
    covers: "C-34",
    of: ["x/mod", "formats"],
    form: "they-tolerate",
    mend: (input) => mendVkey(input, (parts) => ({ ...parts, id: parts.id.toLowerCase() })),
    example: example(LOG.vkey, (parts) => ({ ...parts, id: parts.id.toUpperCase() })),
  },
  {
    name: "vkey-id-unchecked",
    covers: "C-35",
    of: ["formats"],
    form: "they-tolerate",
    mend: (input) =>
      mendVkey(input, (parts) => ([4, 6].includes(keyOf(parts)?.type ?? 0) ? withRightId(parts) : parts)),
    example: example(WITNESS.vkey, (parts) => ({ ...parts, id: "not hex!" })),
  },
  {
    name: "vkey-type-1-only",
    covers: "C-62",
    of: ["x/mod"],
    form: "they-refuse",
    holds: holdsFor((parts) => {
      const key = keyOf(parts);
      return key !== undefined && PUBLIC_KEY_BYTES[key.type] === key.publicKey.length;
    }),
    example: [utf8(WITNESS.vkey)],
  },
  {
    name: "vkey-of-other-type",
    covers: "C-37 C-39",
    of: ["formats"],
    form: "we-refuse",
    holds: holdsFor((parts) => [2, 5].includes(keyOf(parts)?.type ?? 0)),
    example: [utf8(ECDSA_VKEY)],
  },
  {
    name: "mldsa44-name-over-255-bytes",
    covers: "C-72",
    of: ["formats"],
    form: "we-refuse",
    holds: holdsFor(isLongMldsa44Name),
    example: example(PQ_WITNESS.vkey, (parts) => withRightId({ ...parts, name: "n".repeat(256) })),
  },
];

export const VKEY: Subject = { name: "vkey", code: "v", share: 10, ours, kinds: KINDS };

/** Canonical CBOR as RFC 8949 §4.2.1 words it, slowly: the measure for the encoder. */
import type { CborValue } from "../src/index.ts";

const encoder = new TextEncoder();

export function referenceCbor(value: CborValue): number[] {
  if (value === null) return [0xf6];
  if (typeof value === "boolean") return [value ? 0xf5 : 0xf4];
  if (typeof value === "number") return value < 0 ? head(1, -1n - BigInt(value)) : head(0, BigInt(value));
  if (typeof value === "string") return counted(3, [...encoder.encode(value)]);
  if (value instanceof Uint8Array) return counted(2, [...value]);
  if (Array.isArray(value)) return [...head(4, BigInt(value.length)), ...(value as CborValue[]).flatMap(referenceCbor)];
  const members = Object.entries(value).map(([key, member]) => ({
    key: referenceCbor(key),
    member: referenceCbor(member),
  }));
  members.sort((a, b) => Buffer.compare(Buffer.from(a.key), Buffer.from(b.key)));
  return [...head(5, BigInt(members.length)), ...members.flatMap(({ key, member }) => [...key, ...member])];
}

function counted(major: number, bytes: readonly number[]): number[] {
  return [...head(major, BigInt(bytes.length)), ...bytes];
}

function head(major: number, argument: bigint): number[] {
  if (argument < 24n) return [major * 32 + Number(argument)];
  const size = [1, 2, 4, 8].find((size) => argument < 2n ** BigInt(8 * size)) ?? 8;
  const digits = argument.toString(16).padStart(2 * size, "0");
  return [major * 32 + 24 + Math.log2(size), ...Buffer.from(digits, "hex")];
}

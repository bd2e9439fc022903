import { concatBytes, encodeHex, sha256, utf8 } from "@tallystick/core";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { errorCode } from "../../../test/support/errors.ts";
import { domainHash, domainPrefix } from "../src/domain.ts";

const prefix = domainPrefix("tallystick/test/v1");

function referenceHash(parts: readonly (Uint8Array | string)[]): string {
  return encodeHex(sha256(concatBytes(prefix, ...parts.map((part) => (typeof part === "string" ? utf8(part) : part)))));
}

describe("domainHash", () => {
  test("hashes the parts one after the other, text as UTF-8, below and above what its buffer holds", () => {
    const text = fc.oneof(
      fc.string(),
      fc.string({ unit: "grapheme" }),
      fc.nat(400).map((count) => "水".repeat(count)),
    );
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 40 }),
      fc.nat(1100).map((size) => new Uint8Array(size).fill(size)),
    );
    fc.assert(
      fc.property(fc.array(fc.oneof(text, bytes), { maxLength: 4 }), (parts) => {
        expect(encodeHex(domainHash(prefix, ...parts))).toBe(referenceHash(parts));
      }),
      { numRuns: 2_000 },
    );
  });

  test("hashes every number of bytes and of characters around the size of its buffer", () => {
    for (let size = 300; size <= 1060; size += 1) {
      for (const part of [new Uint8Array(size), "a".repeat(size), "é".repeat(size)]) {
        expect(encodeHex(domainHash(prefix, part))).toBe(referenceHash([part]));
      }
    }
  });

  test("refuses a lone surrogate, and hashes the next thing as ever", () => {
    expect(errorCode(() => domainHash(prefix, new Uint8Array(32).fill(9), "a\ud800"))).toBe("encoding-malformed");
    expect(encodeHex(domainHash(prefix, "a"))).toBe(referenceHash(["a"]));
  });
});

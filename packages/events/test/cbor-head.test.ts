import { expect, test } from "vitest";
import { LENGTH_HEAD_BYTES_MAX, putByteStringHead } from "../src/cbor-head.ts";
import { CborWriter } from "../src/cbor-writer.ts";
import { MAJOR } from "../src/cbor-value.ts";

test("a byte string's head is the writer's, for every length near a size of it, and ends where it is to", () => {
  for (const near of [0, 24, 256, 65_536, 2 ** 24, 2 ** 31, 2 ** 32 - 65]) {
    for (let offset = -64; offset <= 64; offset += 1) {
      const length = near + offset;
      if (length < 0) continue;
      const bytes = new Uint8Array(20).fill(0xee);
      const start = putByteStringHead(bytes, 12, length);
      const to = new CborWriter();
      to.head(MAJOR.bytes, length);
      expect(bytes.subarray(start, 12)).toEqual(to.copy());
      expect(12 - start).toBeLessThanOrEqual(LENGTH_HEAD_BYTES_MAX);
      expect([bytes[start - 1], bytes[12]]).toEqual([0xee, 0xee]);
    }
  }
});

test("it refuses a length that has no such head", () => {
  expect(() => putByteStringHead(new Uint8Array(20), 12, 2 ** 32)).toThrow("expected less than 2^32");
});

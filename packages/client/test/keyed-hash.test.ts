import { createHmac } from "node:crypto";
import { expect, test } from "vitest";
import { keyedHash } from "../src/keyed-hash.ts";

test.each([0, 1, 31, 32, 63, 64, 65, 200])("is the platform's HMAC-SHA-256 under a key of %d bytes", (length) => {
  const key = Uint8Array.from({ length }, (_, at) => (at * 7 + length) % 256);
  for (const size of [0, 1, 55, 56, 64, 1000]) {
    const message = Uint8Array.from({ length: size }, (_, at) => (at * 13) % 256);
    expect(keyedHash(key, message)).toEqual(new Uint8Array(createHmac("sha256", key).update(message).digest()));
  }
});

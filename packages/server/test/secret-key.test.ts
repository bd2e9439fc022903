import { chmodSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { encodeHex } from "@tallystick/core";
import { rejectionCode } from "../../../test/support/errors.ts";
import { openSecretKey } from "../src/secret-key.ts";
import { temporaryFolder } from "../../../test/support/temporary-folder.ts";

const keyPath = (): string => join(temporaryFolder(), "approval.key");

test("a key is made once, for its owner alone, and found again", async () => {
  const path = keyPath();
  const made = await openSecretKey(path);
  expect([made.length, statSync(path).mode & 0o777]).toEqual([32, 0o600]);
  expect(readFileSync(path, "utf8")).toBe(`${encodeHex(made)}\n`);
  expect(await openSecretKey(path)).toEqual(made);
  expect(await openSecretKey(keyPath())).not.toEqual(made);
});

test("a key that others may read, or that is none, is refused and not replaced", async () => {
  const path = keyPath();
  await openSecretKey(path);
  chmodSync(path, 0o644);
  expect(await rejectionCode(openSecretKey(path))).toBe("secret-file-exposed");
  chmodSync(path, 0o600);
  for (const text of ["", "00", "x".repeat(64), "AB".repeat(32)]) {
    writeFileSync(path, text);
    expect(await rejectionCode(openSecretKey(path))).toBe("config-malformed");
    expect(readFileSync(path, "utf8")).toBe(text);
  }
});

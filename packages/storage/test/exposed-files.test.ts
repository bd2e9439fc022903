import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { temporaryFolder } from "../../../test/support/temporary-folder.ts";
import { findExposed } from "../src/index.ts";

const dir = (): string => temporaryFolder();

test.each([
  { mode: 0o600, isPublic: false, expected: undefined },
  { mode: 0o400, isPublic: false, expected: undefined },
  { mode: 0o640, isPublic: false, expected: "600" },
  { mode: 0o604, isPublic: false, expected: "600" },
  { mode: 0o620, isPublic: false, expected: "600" },
  { mode: 0o644, isPublic: true, expected: undefined },
  { mode: 0o664, isPublic: true, expected: "644" },
  { mode: 0o646, isPublic: true, expected: "644" },
])("a file of mode $mode, public: $isPublic, should have $expected", async ({ mode, isPublic, expected }) => {
  const path = join(dir(), "file");
  writeFileSync(path, "");
  chmodSync(path, mode);
  const found = await findExposed([{ path, isPublic }]);
  expect(found).toEqual(expected === undefined ? [] : [{ path, mode: mode.toString(8), expected }]);
});

test.each([
  { mode: 0o750, isPublic: false, expected: "700" },
  { mode: 0o777, isPublic: true, expected: "755" },
])("a folder of mode $mode, public: $isPublic, should have $expected", async ({ mode, isPublic, expected }) => {
  const path = join(dir(), "folder");
  mkdirSync(path);
  chmodSync(path, mode);
  expect(await findExposed([{ path, isPublic }])).toMatchObject([{ path, expected }]);
});

test("what is not there is not exposed", async () => {
  expect(await findExposed([{ path: join(dir(), "none") }])).toEqual([]);
});

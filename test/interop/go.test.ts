/** Building Go programs from this tree and from other modules. */
import { execFile } from "node:child_process";
import { stat } from "node:fs/promises";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { GO_BUILD_TIMEOUT_MS, TESSERA, TLOG, buildGo, describeWithGo } from "./go.ts";

describeWithGo("buildGo", () => {
  test(
    "builds a command once, whoever asks at the same time, and leaves it outside of the tree",
    async () => {
      const [first, second] = await Promise.all([buildGo(TLOG, "./sumdb-reader"), buildGo(TLOG, "./sumdb-reader")]);
      expect(first).toBe(second);
      expect(first).toContain("node_modules/.cache");
      const { mtimeMs } = await stat(first);
      expect((await stat(await buildGo(TLOG, "./sumdb-reader"))).mtimeMs).toBe(mtimeMs);
    },
    GO_BUILD_TIMEOUT_MS,
  );

  test(
    "builds a command of another module, at the version that go.mod names",
    async () => {
      const fsck = await buildGo(TESSERA, "github.com/transparency-dev/tessera/cmd/fsck");
      const { stdout } = await promisify(execFile)("go", ["version", "-m", fsck]);
      expect(stdout).toMatch(/\tmod\tgithub\.com\/transparency-dev\/tessera\tv1\.0\.4\t/);
    },
    GO_BUILD_TIMEOUT_MS,
  );

  test("says what the compiler says", async () => {
    await expect(buildGo(TLOG, "./nothing-here")).rejects.toThrow(/nothing-here: directory not found/);
  });
});

import { chmodSync, existsSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { spawn } from "node:child_process";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { lockFolder, readSecretFile, writeFileDurably } from "../src/index.ts";
import { expectCode } from "./expect-code.ts";
import { createFaultyFileSystem } from "./faulty-file-system.ts";
import { temporaryFolder } from "../../../test/support/temporary-folder.ts";

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);

describe("writeFileDurably", () => {
  test("syncs the file before the rename, and the folder after it", async () => {
    const fileSystem = createFaultyFileSystem();
    const path = join(temporaryFolder(), "file");
    await writeFileDurably(path, bytesOf("one"), { fileSystem });
    expect(fileSystem.calls).toEqual(["open", "write", "sync", "close", "rename", "open", "sync", "close"]);
    expect(statSync(path).mode & 0o777).toBe(0o600);
  });

  test("leaves the old content or the new one, whichever step fails", async () => {
    for (const call of ["open", "write", "sync", "close", "rename"] as const) {
      for (const when of ["before", "after"] as const) {
        for (const after of [0, 1]) {
          const path = join(temporaryFolder(), "file");
          const fileSystem = createFaultyFileSystem();
          await writeFileDurably(path, bytesOf("old"));
          fileSystem.fault = { call, when, after };
          await writeFileDurably(path, bytesOf("new"), { fileSystem }).catch(() => undefined);
          expect(readFileSync(path, "utf8")).toMatch(/^(old|new)$/);
          await writeFileDurably(path, bytesOf("again"));
          expect(readFileSync(path, "utf8")).toBe("again");
        }
      }
    }
  });
});

describe("readSecretFile", () => {
  test.each([0o600, 0o400])("reads a file of mode %o", async (mode) => {
    const path = join(temporaryFolder(), "secret");
    writeFileSync(path, "abc", { mode });
    expect(await readSecretFile(path)).toEqual(bytesOf("abc"));
  });

  test.each([0o640, 0o604, 0o610, 0o601, 0o620, 0o666])(
    "refuses a file of mode %o and says what to run",
    async (mode) => {
      const path = join(temporaryFolder(), "secret");
      writeFileSync(path, "abc");
      chmodSync(path, mode);
      const error = await expectCode("secret-file-exposed", () => readSecretFile(path));
      expect(error.message).toContain(`chmod 600 ${path}`);
      expect(error.message).not.toContain("abc");
    },
  );

  test("looks at the file behind a symbolic link", async () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, "secret"), "abc", { mode: 0o644 });
    symlinkSync(join(folder, "secret"), join(folder, "link"));
    await expectCode("secret-file-exposed", () => readSecretFile(join(folder, "link")));
  });

  test("names a file that is not there, and refuses one that is too long", async () => {
    const folder = temporaryFolder();
    const error = await expectCode("storage-unavailable", () => readSecretFile(join(folder, "none")));
    expect(error.message).toContain("none");
    writeFileSync(join(folder, "long"), new Uint8Array(65_537), { mode: 0o600 });
    await expect(readSecretFile(join(folder, "long"))).rejects.toThrow(RangeError);
  });
});

describe("lockFolder", () => {
  test("holds a folder until it is released", async () => {
    const folder = temporaryFolder();
    const lock = await lockFolder(folder);
    await expectCode("storage-locked", () => lockFolder(folder));
    await lock.release();
    await lock.release();
    await (await lockFolder(folder)).release();
  });

  test("C-55 holds it against another process, and takes it over when that one was killed", async () => {
    const folder = temporaryFolder();
    const source = new URL("../src/folder-lock.ts", import.meta.url).href;
    const code = `const { lockFolder } = await import(${JSON.stringify(source)}); await lockFolder(${JSON.stringify(folder)}); process.stdout.write("held"); setInterval(() => {}, 1000);`;
    const holder = spawn(process.execPath, ["--conditions=ws-source", "--input-type=module", "-e", code]);
    await new Promise((resolve) => holder.stdout.once("data", resolve));
    const error = await expectCode("storage-locked", () => lockFolder(folder));
    expect(error.message).toContain(`process ${holder.pid}`);
    const ended = new Promise((resolve) => holder.once("close", resolve));
    holder.kill("SIGKILL");
    await ended;
    const taken = await lockFolder(folder);
    expect(taken.wasAbandoned).toBe(true);
    await taken.release();
    const again = await lockFolder(folder);
    expect(again.wasAbandoned).toBe(false);
    await again.release();
    expect(existsSync(join(folder, "lock"))).toBe(true);
  });

  test("a damaged lock says that it holds no data", async () => {
    const folder = temporaryFolder();
    await (await lockFolder(folder)).release();
    writeFileSync(join(folder, "lock", "CURRENT"), "nonsense\n");
    const error = await expectCode("storage-unavailable", () => lockFolder(folder));
    expect(error.message).toContain("delete it: it holds no data");
  });
});

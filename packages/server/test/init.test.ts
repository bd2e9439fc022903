/** Setting up a server: what it makes, what it never touches, and what it refuses before it writes anything. */
import { chmod, mkdir, readFile, readdir, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { createSigner, parsePolicy, parseVkey, sha256, utf8 } from "@tallystick/core";
import { rejectionCode } from "../../../test/support/errors.ts";
import { type InitServerOptions, initServer, layoutOf, logLayoutOf, readLogKeys, readServer } from "../src/index.ts";
import { temporaryFolder } from "../../../test/support/temporary-folder.ts";

function witness(name: string): { name: string; vkeys: string[]; url: string } {
  const { vkey } = createSigner({ name: `${name}.example`, type: "ed25519-cosigner", seed: sha256(utf8(name)) });
  return { name, vkeys: [vkey], url: `https://${name}.example` };
}

function options(dir: string, more: Partial<InitServerOptions> = {}): InitServerOptions {
  return { dir, name: "app", origin: "log.example/app", witnesses: ["w1", "w2", "w3"].map(witness), ...more };
}

/** Every file below a folder with its contents; none of the lock's, which holds no data. */
async function filesBelow(dir: string): Promise<Map<string, string>> {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile() && entry.parentPath !== join(dir, "lock"));
  const paths = files.map((entry) => join(entry.parentPath, entry.name));
  return new Map(await Promise.all(paths.map(async (path) => [path, await readFile(path, "utf8")] as const)));
}

describe("initServer", () => {
  test("makes files that only their owner can read, but for the policy", async () => {
    const dir = temporaryFolder();
    await initServer(options(dir));
    const modes = await Promise.all(
      [...(await filesBelow(dir)).keys()].map(async (path) => [
        path.slice(dir.length + 1),
        (await stat(path)).mode & 0o777,
      ]),
    );
    expect(Object.fromEntries(modes)).toEqual({
      "keys/app.ed25519.key": 0o600,
      "keys/app.mldsa44.key": 0o600,
      "keys/app.sender.key": 0o600,
      "master.key": 0o600,
      "policies/app.txt": 0o644,
      "server.json": 0o600,
      "tokens.json": 0o600,
    });
    for (const folder of ["data/app", "keystore/app", "keys"])
      expect([folder, (await stat(join(dir, folder))).mode & 0o777]).toEqual([folder, 0o700]);
  });

  test("keeps of a token its digest only, and of no key a copy", async () => {
    const dir = temporaryFolder();
    const { tokens, vkeys } = await initServer(options(dir));
    const files = await filesBelow(dir);
    for (const token of Object.values(tokens))
      for (const [path, text] of files) expect([path, text.includes(token.slice(-20))]).toEqual([path, false]);
    expect(Object.keys(tokens).toSorted()).toEqual(["auditor", "officer", "operator", "writer"]);
    expect(vkeys.map((vkey) => parseVkey(vkey).type)).toEqual([1, 6]);
    const { signers } = await readLogKeys(logLayoutOf(dir, "app"));
    expect(signers.map(({ vkey }) => vkey)).toEqual(vkeys);
  });

  test.each([
    [1, 1],
    [2, 2],
    [3, 2],
    [4, 3],
    [5, 4],
  ])("of %i witnesses %i are enough, unless it is said otherwise", async (count, quorum) => {
    const dir = temporaryFolder();
    const witnesses = Array.from({ length: count }, (_, at) => witness(`w${at + 1}`));
    const { policyPath } = await initServer(options(dir, { witnesses }));
    const policy = await readFile(policyPath, "utf8");
    expect(policy).toContain(`group witnesses ${quorum} ${witnesses.map(({ name }) => name).join(" ")}\n`);
    expect(parsePolicy(policy).logs.map(({ origin }) => origin)).toEqual(["log.example/app", "log.example/app"]);
  });

  test("without witnesses there is no quorum", async () => {
    const { policyPath } = await initServer(options(temporaryFolder(), { witnesses: [] }));
    expect(await readFile(policyPath, "utf8")).toContain("quorum none\n");
  });

  test("adds a second log to a server, and leaves everything of the first as it is", async () => {
    const dir = temporaryFolder();
    const first = await initServer(options(dir));
    const before = await filesBelow(dir);
    const second = await initServer(options(dir, { name: "shop", origin: "log.example/shop" }));
    const after = await filesBelow(dir);
    const shared = [layoutOf(dir).config, layoutOf(dir).tokens];
    const kept = [...before].filter(([path]) => !shared.includes(path));
    expect(kept.map(([path]) => [path, after.get(path)])).toEqual(kept);
    const { logs } = await readServer(dir);
    expect(logs.map(({ name, vkeys }) => [name, vkeys])).toEqual([
      ["app", first.vkeys],
      ["shop", second.vkeys],
    ]);
  });

  test("never overwrites: neither a log that is there nor what is left of one", async () => {
    const dir = temporaryFolder();
    await initServer(options(dir));
    const before = await filesBelow(dir);
    expect(await rejectionCode(initServer(options(dir)))).toBe("server-exists");
    expect(await filesBelow(dir)).toEqual(before);
    const other = temporaryFolder();
    await mkdir(join(other, "keys"));
    await writeFile(logLayoutOf(other, "app").ed25519Key, "an old key");
    expect(await rejectionCode(initServer(options(other)))).toBe("server-exists");
    expect([...(await filesBelow(other)).values()]).toEqual(["an old key"]);
  });

  test.each<[string, Partial<InitServerOptions>, RegExp]>([
    ["a quorum of 0", { quorum: 0 }, /quorum: expected 1 to 3, or none, got 0/],
    ["a quorum above the witnesses", { quorum: 4 }, /quorum: expected 1 to 3, or none, got 4/],
    ["a quorum of no witnesses", { witnesses: [], quorum: 1 }, /quorum: expected none/],
    ["a fraction for a quorum", { quorum: 1.5 }, /quorum/],
    ["C-44 an origin with a space", { origin: "log example" }, /logs\.0\.origin/],
    ["C-44 an origin with a plus", { origin: "log+example" }, /logs\.0\.origin/],
    ["an origin of two lines", { origin: "log\nexample" }, /logs\.0\.origin/],
    ["C-60 an origin that is too long", { origin: "é".repeat(128) }, /logs\.0\.origin/],
    ["C-43 an empty origin", { origin: "" }, /logs\.0\.origin/],
    ["a name of the server's own", { name: "metrics" }, /logs\.0\.name/],
    ["a name that leaves the folder", { name: "../app" }, /logs\.0\.name/],
    ["a port that is none", { port: 70_000 }, /listen\.port/],
    ["a witness without a key", { witnesses: [{ name: "w1", vkeys: [], url: "https://w1.example" }] }, /vkeys/],
    ["a witness whose key is none", { witnesses: [{ ...witness("w1"), vkeys: ["w1+0+x"] }] }, /vkeys\.0/],
    ["a witness of two words", { witnesses: [{ ...witness("w1"), name: "w 1" }] }, /witnesses\.0\.name/],
    ["a witness with a slash at the end", { witnesses: [{ ...witness("w1"), url: "https://w1.example/" }] }, /url/],
    ["a witness that is a file", { witnesses: [{ ...witness("w1"), url: "file:///etc" }] }, /url/],
    ["two witnesses of one name", { witnesses: [witness("w1"), witness("w1")] }, /witnesses/],
  ])("%s is refused, the field is named, and nothing is written", async (_, wrong, message) => {
    const dir = temporaryFolder();
    await expect(initServer(options(dir, wrong))).rejects.toMatchObject({
      code: "config-malformed",
      message: expect.stringMatching(message),
    });
    expect(await readdir(dir)).toEqual([]);
  });

  test("refuses a second log with the origin of the first: two trees under one identity would be a fork", async () => {
    const dir = temporaryFolder();
    await initServer(options(dir));
    expect(await rejectionCode(initServer(options(dir, { name: "shop" })))).toBe("config-malformed");
  });
});

describe("readLogKeys", () => {
  test("refuses a key file that others can read, and says what to run", async () => {
    const dir = temporaryFolder();
    await initServer(options(dir));
    const layout = logLayoutOf(dir, "app");
    for (const path of [layout.ed25519Key, layout.mldsa44Key, layout.senderKey]) {
      await chmod(path, 0o640);
      await expect(readLogKeys(layout)).rejects.toMatchObject({
        code: "secret-file-exposed",
        message: expect.stringContaining(`chmod 600 ${path}`),
      });
      await chmod(path, 0o600);
    }
  });

  test("does not show what stands in a key file that is none", async () => {
    const dir = temporaryFolder();
    await initServer(options(dir));
    const layout = logLayoutOf(dir, "app");
    for (const path of [layout.ed25519Key, layout.senderKey]) {
      const before = await readFile(path);
      await writeFile(path, "PRIVATE+KEY+log.example/app+00000000+canary-4711");
      const error: unknown = await readLogKeys(layout).catch((cause: unknown) => cause);
      expect(error).toBeInstanceOf(Error);
      expect(String(error)).not.toContain("canary-4711");
      await writeFile(path, before);
    }
  });
});

import { createHash } from "node:crypto";
import { chmodSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { createSigner, formatVkey, parseSignerKey, parseVkey, sha256, utf8 } from "@tallystick/core";
import { rejectionCode } from "../../../test/support/errors.ts";
import { createFaultyFileSystem } from "../../storage/test/faulty-file-system.ts";
import {
  addLog,
  formatFingerprint,
  initWitness,
  listLogs,
  openWitness,
  readWitnessKeys,
  removeLog,
} from "../src/index.ts";
import { temporaryFolder } from "../../../test/support/temporary-folder.ts";
import { TestLog, logSigner } from "./test-log.ts";
import { NAME, TestWitness, witnessFolder } from "./test-witness.ts";

describe("initWitness", () => {
  test("makes two keys that only their owner can read, and tells their vkeys", async () => {
    const dir = join(temporaryFolder(), "new", "witness");
    const { name, vkeys } = await initWitness({ dir, name: NAME });
    expect(name).toBe(NAME);
    expect(vkeys.map((vkey) => parseVkey(vkey)).map(({ name, type }) => [name, type])).toEqual([
      [NAME, 4],
      [NAME, 6],
    ]);
    for (const file of ["ed25519.key", "mldsa44.key"]) {
      const path = join(dir, "keys", file);
      expect(statSync(path).mode & 0o777).toBe(0o600);
      expect(vkeys).toContain(parseSignerKey(readFileSync(path, "utf8").trim()).vkey);
    }
    expect(statSync(join(dir, "keys")).mode & 0o777).toBe(0o700);
    expect(await readWitnessKeys({ dir })).toEqual({ name, vkeys });
  });

  test("takes its randomness from outside, and other randomness gives other keys", async () => {
    const keysOf = async (seed: string): Promise<readonly string[]> =>
      (await initWitness({ dir: temporaryFolder(), name: NAME, random: (size) => sha256(utf8(seed)).slice(0, size) }))
        .vkeys;
    expect(await keysOf("a")).toEqual(await keysOf("a"));
    expect(await keysOf("a")).not.toEqual(await keysOf("b"));
  });

  test("refuses a folder that holds a witness, whose keys stay", async () => {
    const dir = await witnessFolder([]);
    const before = await readWitnessKeys({ dir });
    expect(await rejectionCode(initWitness({ dir, name: NAME }))).toBe("witness-exists");
    expect(await readWitnessKeys({ dir })).toEqual(before);
  });

  test.each(["", "a b", "a+b", "a\u00a0b", "a\u0085b", "a\nb", "x".repeat(256), "ä".repeat(128), "\ud800"])(
    "C-72 refuses %j as a name",
    async (name) => {
      expect(await rejectionCode(initWitness({ dir: temporaryFolder(), name }))).toBe("name-unusable");
    },
  );

  test("C-72 takes a name of 255 bytes", async () => {
    const { vkeys } = await initWitness({ dir: temporaryFolder(), name: `${"ä".repeat(127)}x` });
    expect(vkeys).toHaveLength(2);
  });

  test("dying half-way leaves a folder that a second run completes, with one pair of keys", async () => {
    for (const call of ["open", "write", "sync", "rename", "makeFolder"] as const) {
      for (let after = 0; after < 4; after += 1) {
        const dir = temporaryFolder();
        const fileSystem = createFaultyFileSystem();
        fileSystem.fault = { call, after };
        await initWitness({ dir, name: NAME, fileSystem }).catch(() => undefined);
        const { vkeys } = await initWitness({ dir, name: NAME }).catch(() => readWitnessKeys({ dir }));
        const witness = await TestWitness.open(dir);
        expect(witness.witness.vkeys).toEqual(vkeys);
        await witness.witness.close();
      }
    }
  });
});

describe("openWitness", () => {
  test("refuses a folder without a witness, and key files that others can read, are damaged, or of another name", async () => {
    expect(await rejectionCode(openWitness({ dir: temporaryFolder() }))).toBe("config-missing");
    const dir = await witnessFolder([]);
    const path = join(dir, "keys", "ed25519.key");
    chmodSync(path, 0o640);
    expect(await rejectionCode(openWitness({ dir }))).toBe("secret-file-exposed");
    chmodSync(path, 0o600);
    const key = readFileSync(path, "utf8");
    writeFileSync(path, key.slice(0, -8));
    expect(await rejectionCode(openWitness({ dir }))).toBe("key-unusable");
    const other = await witnessFolder([]);
    writeFileSync(path, readFileSync(join(other, "keys", "mldsa44.key")));
    expect(await rejectionCode(openWitness({ dir }))).toBe("key-unusable");
  });

  test("C-76 refuses its own key under another name, as a witness and as a log", async () => {
    const dir = await witnessFolder([]);
    const config = JSON.parse(readFileSync(join(dir, "witness.json"), "utf8")) as object;
    writeFileSync(join(dir, "witness.json"), JSON.stringify({ ...config, name: "witness.example/mirror" }));
    expect(await rejectionCode(openWitness({ dir }))).toBe("key-unusable");

    const second = await witnessFolder([]);
    const { vkeys } = await readWitnessKeys({ dir: second });
    const { publicKey } = parseVkey(vkeys[0] ?? "");
    const vkey = formatVkey({ name: "log.example/a", type: 1, publicKey });
    expect(await rejectionCode(addLog({ dir: second, vkey }))).toBe("log-unusable");
  });

  test.each([
    ["no JSON", "{"],
    ["a list", "[]"],
    ["another format", JSON.stringify({ format: "other", name: NAME, logs: [] })],
    ["an unknown field", JSON.stringify({ format: "tallystick/witness@1", name: NAME, logs: [], port: 1 })],
    ["a name that is none", JSON.stringify({ format: "tallystick/witness@1", name: "a b", logs: [] })],
    ["logs that are no list", JSON.stringify({ format: "tallystick/witness@1", name: NAME, logs: {} })],
    [
      "a log without keys",
      JSON.stringify({ format: "tallystick/witness@1", name: NAME, logs: [{ origin: "a", vkeys: [] }] }),
    ],
    [
      "a log with a number for a URL",
      JSON.stringify({ format: "tallystick/witness@1", name: NAME, logs: [{ origin: "a", vkeys: ["a"], url: 1 }] }),
    ],
    [
      "a log with an unknown field",
      JSON.stringify({ format: "tallystick/witness@1", name: NAME, logs: [{ origin: "a", vkeys: ["a"], key: 1 }] }),
    ],
  ])("refuses a configuration with %s", async (_, text) => {
    const dir = await witnessFolder([]);
    writeFileSync(join(dir, "witness.json"), text);
    expect(await rejectionCode(openWitness({ dir }))).toBe("config-malformed");
  });

  test("refuses a configuration with one origin twice, or keys that are none", async () => {
    const dir = await witnessFolder([]);
    const { vkey } = new TestLog();
    for (const logs of [
      [
        { origin: "a", vkeys: [vkey] },
        { origin: "a", vkeys: [vkey] },
      ],
      [{ origin: "a", vkeys: ["BANANAS"] }],
    ]) {
      writeFileSync(join(dir, "witness.json"), JSON.stringify({ format: "tallystick/witness@1", name: NAME, logs }));
      expect(await rejectionCode(openWitness({ dir }))).toBe("log-unusable");
    }
  });
});

describe("addLog, listLogs and removeLog", () => {
  test("the fingerprint is the SHA-256 of the vkey in groups of four", async () => {
    const dir = await witnessFolder([]);
    const { vkey } = new TestLog();
    const { fingerprint } = await addLog({ dir, vkey });
    expect(fingerprint).toMatch(/^([\da-f]{4} ){15}[\da-f]{4}$/);
    expect(fingerprint.replaceAll(" ", "")).toBe(createHash("sha256").update(vkey).digest("hex"));
    expect(formatFingerprint(vkey)).toBe(fingerprint);
  });

  test("the origin is the key's name unless another is given", async () => {
    const dir = await witnessFolder([]);
    const { vkey } = new TestLog();
    await addLog({ dir, vkey });
    await addLog({ dir, vkey, origin: "another origin, with spaces + ü", url: "https://log.example" });
    expect((await listLogs({ dir })).map(({ origin, url }) => [origin, url])).toEqual([
      ["log.example/a", undefined],
      ["another origin, with spaces + ü", "https://log.example"],
    ]);
  });

  test("C-152 a second key for one origin is added, and each can be removed", async () => {
    const dir = await witnessFolder([]);
    const [older, newer] = [logSigner("log.example/a", "older").vkey, logSigner("log.example/a", "newer").vkey];
    await addLog({ dir, vkey: older, url: "https://log.example" });
    expect((await addLog({ dir, vkey: newer })).vkeys).toEqual([older, newer]);
    expect((await addLog({ dir, vkey: newer })).vkeys).toEqual([older, newer]);
    await removeLog({ dir, origin: "log.example/a", vkey: older });
    expect(await listLogs({ dir })).toMatchObject([
      { vkeys: [newer], url: "https://log.example", fingerprints: [formatFingerprint(newer)] },
    ]);
    await removeLog({ dir, origin: "log.example/a", vkey: newer });
    expect(await listLogs({ dir })).toEqual([]);
    expect(await rejectionCode(removeLog({ dir, origin: "log.example/a" }))).toBe("log-unknown");
  });

  test("refuses what is no key of a log, no origin, or no URL, and changes nothing", async () => {
    const dir = await witnessFolder([]);
    const { vkey } = new TestLog();
    const cosigner = createSigner({ name: "w.example", type: "ed25519-cosigner", seed: sha256(utf8("w")) }).vkey;
    const bad = [
      { vkey: "BANANAS" },
      { vkey: cosigner },
      { vkey: "" },
      { vkey, origin: "" },
      { vkey, origin: "a\nb" },
      { vkey, url: "ftp://a" },
      { vkey, url: "a" },
      { vkey, url: "https://a/?b" },
    ];
    for (const each of bad) {
      const code = await rejectionCode(addLog({ dir, ...each }));
      expect({ each, code }).toEqual({ each, code: "log-unusable" });
    }
    expect(await listLogs({ dir })).toEqual([]);
    expect(await rejectionCode(addLog({ dir: temporaryFolder(), vkey }))).toBe("config-missing");
  });

  test("C-60 refuses an origin of more than 255 bytes", async () => {
    const dir = await witnessFolder([]);
    const { vkey } = new TestLog();
    expect(await rejectionCode(addLog({ dir, vkey, origin: "x".repeat(256) }))).toBe("log-unusable");
    const origin = "x".repeat(255);
    await addLog({ dir, vkey, origin });
    const log = new TestLog({ origin, signers: [logSigner("log.example/a")] });
    expect((await (await TestWitness.open(dir)).add(log.request(0, 3))).status).toBe(200);
  });

  test("ten at once are all there", async () => {
    const dir = await witnessFolder([]);
    const names = Array.from({ length: 10 }, (_, index) => `log.example/${index}`);
    await Promise.all(names.map((name) => addLog({ dir, vkey: logSigner(name).vkey })));
    expect((await listLogs({ dir })).map(({ origin }) => origin).toSorted()).toEqual(names);
  });

  test("C-151 a log that was removed and added again goes on from its state", async () => {
    const log = new TestLog();
    const dir = await witnessFolder([log]);
    const witness = await TestWitness.open(dir);
    await witness.add(log.request(0, 5));
    await removeLog({ dir, origin: log.origin });
    await witness.witness.reload();
    expect((await witness.add(log.request(5, 8))).status).toBe(404);
    expect((await witness.latest(log)).status).toBe(200);
    await witness.witness.close();
    expect(readdirSync(join(dir, "state"))).toContain(`${log.hash}.json`);
    const without = await TestWitness.open(dir);
    expect(without.witness.status().logs).toMatchObject([{ configured: false, size: 5n }]);
    await addLog({ dir, vkey: log.vkey });
    await without.witness.reload();
    expect(await without.add(log.request(0, 8))).toMatchObject({ status: 409, body: "5\n" });
    expect((await without.add(log.request(5, 8))).status).toBe(200);
  });

  test("a configuration that cannot be used is refused on reload, and the old one stays", async () => {
    const log = new TestLog();
    const dir = await witnessFolder([log]);
    const witness = await TestWitness.open(dir);
    writeFileSync(join(dir, "witness.json"), "{");
    expect(await rejectionCode(witness.witness.reload())).toBe("config-malformed");
    rmSync(join(dir, "witness.json"));
    expect(await rejectionCode(witness.witness.reload())).toBe("config-missing");
    writeFileSync(
      join(dir, "witness.json"),
      JSON.stringify({ format: "tallystick/witness@1", name: "w.example/other", logs: [] }),
    );
    expect(await rejectionCode(witness.witness.reload())).toBe("config-malformed");
    expect((await witness.add(log.request(0, 5))).status).toBe(200);
  });
});

/** What every key store does, and what the one in files notices of its own files. */
import { createHash } from "node:crypto";
import { copyFileSync, cpSync, existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { StorageError } from "../src/error.ts";
import { createMemoryKeyStore, type KeyName, type KeyStore, openKeyStore } from "../src/index.ts";
import { expectCode } from "./expect-code.ts";
import { createFaultyFileSystem, type Fault } from "./faulty-file-system.ts";
import { temporaryFolder } from "../../../test/support/temporary-folder.ts";

const masterKey = new Uint8Array(32).fill(9);
const hex = (bytes: Uint8Array | undefined): string => Buffer.from(bytes ?? []).toString("hex");
const fingerprint = (key: Uint8Array | undefined): string =>
  createHash("sha256")
    .update("tallystick/key/v1\0")
    .update(key ?? new Uint8Array())
    .digest("hex");
const ada: KeyName = { kind: "person", name: "ada" };
const retired: KeyName = { kind: "person", name: "retired" };

const kinds: Readonly<Record<string, () => Promise<KeyStore>>> = {
  memory: async () => createMemoryKeyStore(),
  file: () => openKeyStore({ path: join(temporaryFolder(), "keys"), masterKey }),
};

describe.each(Object.entries(kinds))("%s key store", (_, openEmpty) => {
  test("a name gets 32 random bytes once", async () => {
    const keys = await openEmpty();
    expect(keys.get("person", "ada")).toBeUndefined();
    expect(keys.state("person", "ada")).toBe("absent");
    const key = keys.getOrCreate("person", "ada");
    expect(key).toHaveLength(32);
    expect(keys.getOrCreate("person", "ada")).toEqual(key);
    expect(keys.get("person", "ada")).toEqual(key);
    expect(keys.state("person", "ada")).toBe("pending");
    await keys.sync();
    expect(keys.state("person", "ada")).toBe("live");
    expect(keys.get("person", "ada")).toEqual(key);
    await keys.close();
  });

  test("one name of two kinds has two keys", async () => {
    const keys = await openEmpty();
    const all = (["class-day", "person", "tenant", "secret"] as const).map((kind) => hex(keys.getOrCreate(kind, "x")));
    expect(new Set(all).size).toBe(4);
    await keys.close();
  });

  test("a destroyed key is gone, its fingerprint is returned, also when asked again", async () => {
    const keys = await openEmpty();
    const [ada, bob] = [keys.getOrCreate("person", "ada"), keys.getOrCreate("person", "bob")];
    const printed = fingerprint(ada);
    const names = [
      { kind: "person", name: "ada" },
      { kind: "person", name: "nobody" },
    ] as const;
    expect((await keys.destroy(names)).map((print) => print && hex(print))).toEqual([printed, undefined]);
    expect(keys.get("person", "ada")).toBeUndefined();
    expect(keys.state("person", "ada")).toBe("destroyed");
    expect(keys.state("person", "nobody")).toBe("absent");
    expect(keys.get("person", "bob")).toEqual(bob);
    expect((await keys.destroy(names)).map((print) => print && hex(print))).toEqual([printed, undefined]);
    await keys.close();
  });

  test("who returns gets a new key, which can be destroyed too", async () => {
    const keys = await openEmpty();
    const first = hex(keys.getOrCreate("person", "ada"));
    await keys.destroy([{ kind: "person", name: "ada" }]);
    const second = keys.getOrCreate("person", "ada");
    expect(hex(second)).not.toBe(first);
    expect(keys.state("person", "ada")).toBe("pending");
    await keys.sync();
    expect(keys.state("person", "ada")).toBe("live");
    const printed = fingerprint(second);
    expect((await keys.destroy([{ kind: "person", name: "ada" }])).map(hex)).toEqual([printed]);
    await keys.close();
  });

  test("a retired key lives on under its new name alone, and the old name gets a fresh one", async () => {
    const keys = await openEmpty();
    const key = hex(keys.getOrCreate("person", "ada"));
    const bob = hex(keys.getOrCreate("person", "bob"));
    await keys.retire(ada, retired);
    expect(keys.state("person", "ada")).toBe("destroyed");
    expect(keys.get("person", "ada")).toBeUndefined();
    expect(keys.state("person", "retired")).toBe("live");
    expect(hex(keys.get("person", "retired"))).toBe(key);
    expect(hex(keys.get("person", "bob"))).toBe(bob);
    const fresh = hex(keys.getOrCreate("person", "ada"));
    expect(fresh).not.toBe(key);
    await keys.sync();
    expect((await keys.destroy([retired])).map(hex)).toEqual([fingerprint(Buffer.from(key, "hex"))]);
    expect(keys.state("person", "retired")).toBe("destroyed");
    expect(hex(keys.get("person", "ada"))).toBe(fresh);
    await keys.close();
  });

  test("to retire a key again, or one that is not there, does nothing", async () => {
    const keys = await openEmpty();
    await keys.retire(ada, retired);
    expect(keys.state("person", "retired")).toBe("absent");
    const key = hex(keys.getOrCreate("person", "ada"));
    await keys.retire(ada, retired);
    await keys.retire(ada, retired);
    expect(hex(keys.get("person", "retired"))).toBe(key);
    expect((await keys.destroy([ada])).map(hex)).toEqual([fingerprint(Buffer.from(key, "hex"))]);
    expect(hex(keys.get("person", "retired"))).toBe(key);
    await keys.destroy([retired]);
    await keys.retire(ada, retired);
    expect(keys.state("person", "retired")).toBe("destroyed");
    await keys.close();
  });

  test("retiring never takes the place of another live key, nor changes a kind", async () => {
    const keys = await openEmpty();
    const first = hex(keys.getOrCreate("person", "ada"));
    await keys.retire(ada, retired);
    const second = hex(keys.getOrCreate("person", "ada"));
    await expect(keys.retire(ada, retired)).rejects.toThrow(RangeError);
    await expect(keys.retire(ada, ada)).rejects.toThrow(RangeError);
    await expect(keys.retire(ada, { kind: "tenant", name: "retired" })).rejects.toThrow(RangeError);
    expect([hex(keys.get("person", "retired")), hex(keys.get("person", "ada"))]).toEqual([first, second]);
    await keys.close();
  });

  test("the number of the epoch grows with every destruction of a key, and with nothing else", async () => {
    const keys = await openEmpty();
    const { epoch } = keys;
    keys.getOrCreate("person", "ada");
    await keys.sync();
    await keys.retire(ada, retired);
    await keys.destroy([ada, { kind: "person", name: "nobody" }]);
    expect(keys.epoch).toBe(epoch);
    await keys.destroy([retired]);
    expect(keys.epoch).toBe(epoch + 1);
    await keys.destroy([retired]);
    expect(keys.epoch).toBe(epoch + 1);
    await keys.close();
  });

  test("another master key changes no key, and begins an epoch", async () => {
    const keys = await openEmpty();
    const { epoch } = keys;
    const key = hex(keys.getOrCreate("person", "ada"));
    await keys.rotateMasterKey(new Uint8Array(32).fill(10));
    expect(keys.epoch).toBe(epoch + 1);
    expect(keys.state("person", "ada")).toBe("live");
    expect(hex(keys.get("person", "ada"))).toBe(key);
    await expect(keys.rotateMasterKey(new Uint8Array(31))).rejects.toThrow(TypeError);
    expect(hex(keys.getOrCreate("person", "ada"))).toBe(key);
    await keys.close();
  });

  test("names outside their bounds are refused without being shown", async () => {
    const keys = await openEmpty();
    for (const name of ["", "\ud800", "secret-name".repeat(100)]) {
      expect(() => keys.getOrCreate("person", name)).toThrow(RangeError);
      expect(() => keys.getOrCreate("person", name)).not.toThrow(/secret-name/);
    }
    expect(() => keys.getOrCreate("persons" as "person", "x")).toThrow(RangeError);
    await keys.close();
  });

  test("a closed key store answers storage-unavailable", async () => {
    const keys = await openEmpty();
    await keys.close();
    await keys.close();
    await expectCode("storage-unavailable", () => keys.get("person", "ada"));
    await expectCode("storage-unavailable", () => keys.getOrCreate("person", "ada"));
    await expectCode("storage-unavailable", () => keys.state("person", "ada"));
    await expectCode("storage-unavailable", () => keys.sync());
    await expectCode("storage-unavailable", () => keys.destroy([]));
    await expectCode("storage-unavailable", () => keys.retire(ada, retired));
    await expectCode("storage-unavailable", () => keys.rotateMasterKey(masterKey));
  });
});

async function withKeys<T>(path: string, use: (keys: KeyStore) => T | Promise<T>): Promise<T> {
  const keys = await openKeyStore({ path, masterKey });
  try {
    return await use(keys);
  } finally {
    await keys.close();
  }
}

/** A folder with keys of persons p0, p1, …; gives the keys in hex. */
async function fill(path: string, count = 20): Promise<string[]> {
  return withKeys(path, async (keys) => {
    const all: string[] = [];
    for (let at = 0; at < count; at++) {
      all.push(hex(keys.getOrCreate("person", `p${at}`)));
      if (at % 7 === 6) await keys.sync();
    }
    return all;
  });
}

function read(path: string, count = 20): Promise<string[]> {
  return withKeys(path, (keys) => Array.from({ length: count }, (_, at) => hex(keys.get("person", `p${at}`))));
}

describe("a key store in files", () => {
  test("keys are there after reopening, many of them too", async () => {
    const path = temporaryFolder();
    const all = await fill(path, 5000);
    expect(await read(path, 5000)).toEqual(all);
  });

  test("keys that were not synced are gone", async () => {
    const path = temporaryFolder();
    await fill(path, 3);
    const copy = temporaryFolder();
    await withKeys(path, (keys) => {
      keys.getOrCreate("person", "unsynced");
      cpSync(path, copy, { recursive: true });
    });
    expect(await withKeys(copy, (keys) => keys.state("person", "unsynced"))).toBe("absent");
  });

  test("calls to sync under way together share one write", async () => {
    const fileSystem = createFaultyFileSystem();
    const keys = await openKeyStore({ path: temporaryFolder(), masterKey, fileSystem });
    fileSystem.calls.length = 0;
    keys.getOrCreate("person", "a");
    keys.getOrCreate("person", "b");
    await Promise.all([keys.sync(), keys.sync(), keys.sync()]);
    expect(fileSystem.calls).toEqual(["write", "sync", "write"]);
    await keys.close();
  });

  test("a key created while a sync is under way is covered by the next one", async () => {
    const path = temporaryFolder();
    const keys = await openKeyStore({ path, masterKey });
    keys.getOrCreate("person", "a");
    const first = keys.sync();
    await Promise.resolve();
    const late = hex(keys.getOrCreate("person", "late"));
    await Promise.all([first, keys.sync()]);
    expect(keys.state("person", "late")).toBe("live");
    await keys.close();
    expect(await withKeys(path, (keys) => hex(keys.get("person", "late")))).toBe(late);
  });

  test("no file holds a key or a name in the clear", async () => {
    const path = temporaryFolder();
    const all = await fill(path);
    await withKeys(path, (keys) => all.push(hex(keys.getOrCreate("person", "ada.lovelace@example.org"))));
    for (const file of readdirSync(path).filter((name) => statSync(join(path, name)).isFile())) {
      const content = readFileSync(join(path, file));
      for (const key of all) expect(content.includes(Buffer.from(key, "hex"))).toBe(false);
      expect(content.includes("ada.lovelace")).toBe(false);
      expect(content.includes(Buffer.from(masterKey))).toBe(false);
      expect(statSync(join(path, file)).mode & 0o077).toBe(0);
    }
  });

  test("another master key is told apart from damage, and is not in the error", async () => {
    const path = temporaryFolder();
    await fill(path);
    const wrong = new Uint8Array(32).fill(0xab);
    const error = await expectCode("master-key-wrong", () => openKeyStore({ path, masterKey: wrong }));
    expect(JSON.stringify([error.message, error.details, error.cause])).not.toContain(hex(wrong));
    await expect(openKeyStore({ path, masterKey: new Uint8Array(16) })).rejects.toThrow(TypeError);
  });

  test("C-55 a folder is open once at a time", async () => {
    const path = temporaryFolder();
    await withKeys(path, () => expectCode("storage-locked", () => openKeyStore({ path, masterKey })));
  });

  test("destruction replaces the epoch, and the old epoch file reads no key any more", async () => {
    const path = temporaryFolder();
    const all = await fill(path);
    const [oldEpoch, oldKeys, oldMark] = ["epoch", "keys.1", "mark.1"].map((name) => readFileSync(join(path, name)));
    await withKeys(path, async (keys) => {
      expect((await keys.destroy([{ kind: "person", name: "p3" }])).map(hex)).toEqual([
        fingerprint(Buffer.from(all[3] ?? "", "hex")),
      ]);
      expect(hex(keys.get("person", "p4"))).toBe(all[4]);
    });
    expect(readdirSync(path).sort()).toEqual(["epoch", "keys.2", "lock", "mark.2"]);
    expect(await read(path)).toEqual(all.with(3, ""));
    expect(await withKeys(path, (keys) => keys.state("person", "p3"))).toBe("destroyed");

    // A backup of the rows without the old epoch file is of no use: the new epoch does not read them.
    writeFileSync(join(path, "keys.2"), oldKeys ?? "");
    await expectCode("key-store-rolled-back", () => openKeyStore({ path, masterKey }));
    // The old epoch file without its rows is noticed as well.
    writeFileSync(join(path, "epoch"), oldEpoch ?? "");
    await expectCode("key-store-rolled-back", () => openKeyStore({ path, masterKey }));
    expect(oldMark).toBeDefined();
  });

  test("the old epoch file is overwritten in place before it is removed", async () => {
    const path = temporaryFolder();
    await fill(path);
    const fileSystem = createFaultyFileSystem();
    const keys = await openKeyStore({ path, masterKey, fileSystem });
    fileSystem.fault = { call: "unlink" };
    await expectCode("storage-unavailable", () => keys.destroy([{ kind: "person", name: "p3" }]));
    await keys.close();
    expect(readFileSync(join(path, "epoch.old")).every((byte) => byte === 0)).toBe(true);
    await withKeys(path, () => undefined);
    expect(existsSync(join(path, "epoch.old"))).toBe(false);
  });

  test("a destruction that fails at any step leaves the old store or the new one, and can be done again", async () => {
    for (const call of ["open", "write", "sync", "close", "link", "rename", "unlink"] as const) {
      for (const when of ["before", "after"] as const) {
        for (let after = 0; ; after++) {
          const outcome = await destroyWithFault({ call, when, after });
          if (outcome === "no fault") break;
        }
      }
    }
  });

  test("a retirement that fails at any write leaves the key under one name or both, and can be done again", async () => {
    const seen = new Set<string>();
    for (const call of ["write", "sync"] as const) {
      for (const when of ["before", "after"] as const) {
        for (let after = 0; ; after++) {
          const found = await retireWithFault({ call, when, after });
          if (found === "no fault") break;
          seen.add(found);
        }
      }
    }
    expect([...seen].toSorted()).toEqual(["destroyed, live", "live, absent"]);
  });

  test("of a retirement's two rows any part may be on disk: it is finished, or destroys the key under both names", async () => {
    const path = temporaryFolder();
    const all = await fill(path, 3);
    const mark = readFileSync(join(path, "mark.1"));
    const from = { kind: "person", name: "p1" } as const;
    await withKeys(path, (keys) => keys.retire(from, retired));
    const rows = readFileSync(join(path, "keys.1"));
    expect(rows).toHaveLength(32 + 5 * 96);
    const statesOf = (keys: KeyStore): string =>
      [from, retired].map(({ kind, name }) => keys.state(kind, name)).join(", ");
    const begun = rows.length - 2 * 96;
    for (let torn = begun; torn <= rows.length; torn += 24) {
      const left = torn < begun + 96 ? "live, absent" : torn < rows.length ? "live, live" : "destroyed, live";
      const copies = [temporaryCopy(path), temporaryCopy(path)] as const;
      for (const copy of copies) {
        writeFileSync(join(copy, "keys.1"), rows.subarray(0, torn));
        writeFileSync(join(copy, "mark.1"), mark);
      }
      await withKeys(copies[0], async (keys) => {
        expect(statesOf(keys)).toBe(left);
        await keys.retire(from, retired);
        expect(statesOf(keys)).toBe("destroyed, live");
        expect(hex(keys.get("person", "retired"))).toBe(all[1]);
      });
      await withKeys(copies[1], async (keys) => {
        await keys.destroy([left === "live, absent" ? from : retired]);
        expect(statesOf(keys)).toBe(left === "live, absent" ? "destroyed, absent" : "destroyed, destroyed");
      });
      for (const copy of copies) expect(await read(copy, 3)).toEqual(all.with(1, ""));
    }
  });

  test("a fresh key made while another is retired under the same name does not take its place", async () => {
    const path = temporaryFolder();
    const [, p1] = await fill(path, 3);
    await withKeys(path, async (keys) => {
      const moving = keys.retire({ kind: "person", name: "p1" }, retired);
      let asked: string | undefined;
      while (keys.state("person", "retired") !== "live") {
        await new Promise<void>((resolve) => setImmediate(resolve));
        asked ??= keys.get("person", "retired") && hex(keys.getOrCreate("person", "retired"));
      }
      await moving;
      await keys.sync();
      expect([asked, hex(keys.get("person", "retired"))]).toEqual([p1, p1]);
    });
    expect(await withKeys(path, (keys) => hex(keys.get("person", "retired")))).toBe(p1);
  });

  test("an interrupted creation is made good by the next opening", async () => {
    for (const call of ["open", "write", "sync", "close", "rename"] as const) {
      for (let after = 0; after < 3; after++) {
        const path = temporaryFolder();
        const fileSystem = createFaultyFileSystem();
        fileSystem.fault = { call, after };
        await openKeyStore({ path, masterKey, fileSystem }).then(
          (keys) => keys.close(),
          (error: unknown) => expect(error).toMatchObject({ code: "storage-unavailable" }),
        );
        expect(await read(path, (await fill(path, 2)).length)).toHaveLength(2);
      }
    }
  });

  test("a failed sync stops the key store until it is opened again", async () => {
    for (const fault of [
      { call: "write" },
      { call: "sync" },
      { call: "write", after: 1 },
      { call: "write", code: "ENOSPC" },
    ] as Fault[]) {
      const path = temporaryFolder();
      await fill(path, 2);
      const fileSystem = createFaultyFileSystem();
      const keys = await openKeyStore({ path, masterKey, fileSystem });
      fileSystem.fault = fault;
      keys.getOrCreate("person", "new");
      const code = fault.code === "ENOSPC" ? "storage-full" : "storage-unavailable";
      await expectCode(code, () => keys.sync());
      fileSystem.fault = undefined;
      await expectCode(code, () => keys.sync());
      await expectCode(code, () => keys.get("person", "p0"));
      await expectCode(code, () => keys.destroy([]));
      await keys.close();
      expect(await read(path, 2)).toHaveLength(2);
    }
  });
});

async function destroyWithFault(fault: Fault): Promise<"done" | "no fault"> {
  const path = temporaryFolder();
  const all = await fill(path, 5);
  const fileSystem = createFaultyFileSystem();
  const keys = await openKeyStore({ path, masterKey, fileSystem });
  fileSystem.fault = fault;
  const names = [{ kind: "person", name: "p1" }] as const;
  const failed = await keys.destroy(names).then(
    () => false,
    () => true,
  );
  fileSystem.fault = undefined;
  await keys.close();
  if (!failed) return "no fault";
  const reopened = await openKeyStore({ path, masterKey });
  expect(["live", "destroyed"]).toContain(reopened.state("person", "p1"));
  expect((await reopened.destroy(names)).map(hex)).toEqual([fingerprint(Buffer.from(all[1] ?? "", "hex"))]);
  for (const at of [0, 2, 3, 4]) expect(hex(reopened.get("person", `p${at}`))).toBe(all[at]);
  expect(reopened.get("person", "p1")).toBeUndefined();
  await reopened.close();
  expect(
    readdirSync(path)
      .sort()
      .filter((name) => name.startsWith("epoch")),
  ).toEqual(["epoch"]);
  expect(readdirSync(path)).toHaveLength(4);
  return "done";
}

async function retireWithFault(fault: Fault): Promise<string> {
  const path = temporaryFolder();
  const [key] = await fill(path, 1);
  const fileSystem = createFaultyFileSystem();
  const keys = await openKeyStore({ path, masterKey, fileSystem });
  fileSystem.fault = fault;
  const from = { kind: "person", name: "p0" } as const;
  const failed = await keys.retire(from, retired).then(
    () => false,
    () => true,
  );
  fileSystem.fault = undefined;
  await keys.close();
  if (!failed) return "no fault";
  return withKeys(path, async (reopened) => {
    const states = [from, retired].map(({ kind, name }) => reopened.state(kind, name)).join(", ");
    await reopened.retire(from, retired);
    expect(reopened.state("person", "p0")).toBe("destroyed");
    expect(hex(reopened.get("person", "retired"))).toBe(key);
    return states;
  });
}

/** A key store's files, in another folder. */
function temporaryCopy(path: string): string {
  const copy = temporaryFolder();
  for (const name of ["epoch", "keys.1", "mark.1"]) copyFileSync(join(path, name), join(copy, name));
  return copy;
}

/** Takes an error of ours for a right answer. */
function refusalOr<T>(value: T): (error: unknown) => T {
  return (error) => {
    if (error instanceof StorageError) return value;
    throw error;
  };
}

describe("damage to a key store", () => {
  const HEADER = 32;
  const ROW = 96;

  test("a torn row at the end is cut, and what was synced stays", async () => {
    for (const torn of [1, 50, ROW - 1, ROW, ROW + 10, 3 * ROW]) {
      const path = temporaryFolder();
      const all = await fill(path);
      writeFileSync(join(path, "keys.1"), Buffer.concat([readFileSync(join(path, "keys.1")), Buffer.alloc(torn, 5)]));
      expect(await read(path)).toEqual(all);
      expect(statSync(join(path, "keys.1")).size).toBe(HEADER + 20 * ROW);
    }
  });

  test("whole rows beyond the mark are kept", async () => {
    const path = temporaryFolder();
    await fill(path, 3);
    const mark = readFileSync(join(path, "mark.1"));
    const late = await withKeys(path, (keys) => hex(keys.getOrCreate("person", "late")));
    writeFileSync(join(path, "mark.1"), mark);
    expect(await withKeys(path, (keys) => hex(keys.get("person", "late")))).toBe(late);
    expect(await withKeys(path, (keys) => hex(keys.get("person", "late")))).toBe(late);
  });

  test("an older copy of the rows alone is noticed", async () => {
    const path = temporaryFolder();
    await fill(path, 10);
    const older = readFileSync(join(path, "keys.1"));
    await fill(path, 12);
    writeFileSync(join(path, "keys.1"), older);
    const error = await expectCode("key-store-rolled-back", () => openKeyStore({ path, masterKey }));
    expect(error.message).toContain("10 keys");
    expect(error.message).toContain("12 keys");
  });

  test.each(["keys.1", "mark.1", "epoch"])("a store without its file %s is refused", async (file) => {
    const path = temporaryFolder();
    await fill(path);
    rmSync(join(path, file));
    const error = await openKeyStore({ path, masterKey }).catch((error: unknown) => error);
    expect(error).toMatchObject({ code: file === "epoch" ? "key-store-corrupt" : "key-store-rolled-back" });
  });

  test("a row that was changed is named", async () => {
    const path = temporaryFolder();
    await fill(path);
    const bytes = readFileSync(join(path, "keys.1"));
    const at = HEADER + 4 * ROW + 60;
    bytes[at] = (bytes[at] ?? 0) ^ 1;
    writeFileSync(join(path, "keys.1"), bytes);
    const error = await expectCode("key-store-corrupt", () => openKeyStore({ path, masterKey }));
    expect(error.details).toMatchObject({ row: 4 });
  });

  test("a row that is changed while the store is open is refused when it is read", async () => {
    const path = temporaryFolder();
    const all = await fill(path);
    await withKeys(path, async (keys) => {
      const bytes = readFileSync(join(path, "keys.1"));
      bytes[HEADER + ROW - 1] = (bytes[HEADER + ROW - 1] ?? 0) ^ 1;
      writeFileSync(join(path, "keys.1"), bytes);
      await expectCode("key-store-corrupt", () => keys.get("person", "p0"));
      expect(hex(keys.get("person", "p1"))).toBe(all[1]);
    });
  });

  test("rows that were swapped are refused", async () => {
    const path = temporaryFolder();
    await fill(path);
    const bytes = readFileSync(join(path, "keys.1"));
    const [a, b] = [HEADER + 2 * ROW, HEADER + 9 * ROW].map((at) => Buffer.from(bytes.subarray(at, at + ROW)));
    b?.copy(bytes, HEADER + 2 * ROW);
    a?.copy(bytes, HEADER + 9 * ROW);
    writeFileSync(join(path, "keys.1"), bytes);
    await expectCode("key-store-rolled-back", () => openKeyStore({ path, masterKey }));
  });

  test("no flipped bit in any file gives a wrong key or loses one", async () => {
    const path = temporaryFolder();
    const all = await fill(path, 8);
    let flips = 0;
    for (const file of ["epoch", "keys.1", "mark.1"]) {
      const bits = statSync(join(path, file)).size * 8;
      const step = Math.max(1, Math.floor(bits / 150));
      for (let bit = flips % step; bit < bits; bit += step, flips++) {
        const original = readFileSync(join(path, file));
        const bytes = Buffer.from(original);
        bytes[Math.floor(bit / 8)] = (bytes[Math.floor(bit / 8)] ?? 0) ^ (1 << (bit % 8));
        writeFileSync(join(path, file), bytes);
        const found = await read(path, 8).catch(refusalOr(all));
        expect(found).toEqual(all);
        writeFileSync(join(path, file), original);
      }
    }
    expect(flips).toBeGreaterThan(400);
  });

  test("every truncation of a file is refused, or leaves all keys", async () => {
    const path = temporaryFolder();
    const all = await fill(path, 8);
    for (const file of ["epoch", "keys.1", "mark.1"]) {
      const original = readFileSync(join(path, file));
      for (const size of [0, 1, 31, 32, 63, 64, 100, original.length - 1].filter((size) => size < original.length)) {
        const copy = temporaryFolder();
        for (const name of ["epoch", "keys.1", "mark.1"]) copyFileSync(join(path, name), join(copy, name));
        writeFileSync(join(copy, file), original.subarray(0, size));
        const found = await read(copy, 8).catch(refusalOr(all));
        expect(found).toEqual(all);
      }
    }
  });
});

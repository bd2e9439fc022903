/** Where a master key may lie, and what happens to a key store when it changes, is missing or is not the right one. */
import { randomBytes } from "node:crypto";
import { cpSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import {
  createUnavailableKeyStore,
  type KeyStore,
  type MasterKey,
  type MasterKeyProvider,
  masterKeyProvider,
  openKeyStore,
  rewrapKeyStore,
  StorageError,
} from "../src/index.ts";
import { LocalMasterKey } from "../src/master-key-provider.ts";
import { expectCode } from "./expect-code.ts";
import { createFaultyFileSystem, type Fault } from "./faulty-file-system.ts";
import { temporaryFolder } from "../../../test/support/temporary-folder.ts";

const first = new Uint8Array(32).fill(1);
const second = new Uint8Array(32).fill(2);
const hex = (bytes: Uint8Array | undefined): string => Buffer.from(bytes ?? []).toString("hex");

/** As a service would: it wraps elsewhere, under a name, and may be out of reach. */
function createService(name: string, key: Uint8Array): MasterKeyProvider & { reachable: boolean } {
  const inside = new LocalMasterKey(key, randomBytes);
  const service = {
    reachable: true,
    describe: () => `key ${name} of a service`,
    wrap: async (secret: Uint8Array, context: Uint8Array) => inside.wrap(secret, assertReachable(context)),
    unwrap: async (wrapped: Uint8Array, context: Uint8Array) => inside.unwrap(wrapped, assertReachable(context)),
  };
  function assertReachable<T>(value: T): T {
    if (!service.reachable) throw new StorageError("master-key-unavailable", `key ${name} does not answer`);
    return value;
  }
  return service;
}

const ada = { kind: "person", name: "ada" } as const;
const bob = { kind: "person", name: "bob" } as const;

async function withKeys<T>(path: string, masterKey: MasterKey, use: (keys: KeyStore) => T | Promise<T>): Promise<T> {
  const keys = await openKeyStore({ path, masterKey });
  try {
    return await use(keys);
  } finally {
    await keys.close();
  }
}

/** Makes the keys of ada and bob; gives both. */
function fill(path: string, masterKey: MasterKey): Promise<readonly string[]> {
  return withKeys(path, masterKey, (keys) => [ada, bob].map(({ kind, name }) => hex(keys.getOrCreate(kind, name))));
}

function read(path: string, masterKey: MasterKey): Promise<readonly string[]> {
  return withKeys(path, masterKey, (keys) => [ada, bob].map(({ kind, name }) => hex(keys.get(kind, name))));
}

describe("a key of 32 bytes as a master key", () => {
  test("gives back what it wrapped, under the same context only", async () => {
    const masterKey = masterKeyProvider(first);
    const [secret, context] = [Buffer.from("secret"), Buffer.from("context")];
    const wrapped = await masterKey.wrap(secret, context);
    expect(hex(await masterKey.unwrap(wrapped, context))).toBe(secret.toString("hex"));
    expect(Buffer.from(wrapped).includes("secret")).toBe(false);
    expect(hex(await masterKey.wrap(secret, context))).not.toBe(hex(wrapped));
    await expectCode("master-key-wrong", () => masterKey.unwrap(wrapped, Buffer.from("other")));
    await expectCode("master-key-wrong", () => masterKeyProvider(second).unwrap(wrapped, context));
    for (let size = 0; size < wrapped.length; size++) {
      await expectCode("master-key-wrong", () => masterKey.unwrap(wrapped.subarray(0, size), context));
    }
  });

  test("what is no master key is refused by the caller's argument", () => {
    for (const wrong of [new Uint8Array(31), "a".repeat(64), undefined, { wrap: () => undefined }]) {
      expect(() => masterKeyProvider(wrong as unknown as MasterKey)).toThrow(TypeError);
    }
  });
});

describe("a key store under a master key that lies elsewhere", () => {
  test("is opened by it, and by it alone", async () => {
    const path = temporaryFolder();
    const service = createService("a", first);
    const all = await fill(path, service);
    expect(await read(path, service)).toEqual(all);
    const otherKind = await expectCode("master-key-wrong", () => openKeyStore({ path, masterKey: first }));
    expect(otherKind.message).toContain("key a of a service");
    expect(otherKind.details).toMatchObject({ wrappedBy: "key a of a service" });
    const otherKey = await expectCode("master-key-wrong", () =>
      openKeyStore({ path, masterKey: createService("b", second) }),
    );
    expect(otherKey.message).toContain("key b of a service");
  });

  test("of a key of 32 bytes says so where a service is given", async () => {
    const path = temporaryFolder();
    await fill(path, first);
    const error = await expectCode("master-key-wrong", () =>
      openKeyStore({ path, masterKey: createService("a", first) }),
    );
    expect(error.message).toContain("32 bytes");
  });

  test("stays usable and whole when a destruction cannot reach it, and can be done again", async () => {
    const path = temporaryFolder();
    const service = createService("a", first);
    const all = await fill(path, service);
    await withKeys(path, service, async (keys) => {
      service.reachable = false;
      await expectCode("master-key-unavailable", () => keys.destroy([ada]));
      expect(hex(keys.get("person", "ada"))).toBe(all[0]);
      keys.getOrCreate("person", "new");
      await keys.sync();
      service.reachable = true;
      await keys.destroy([ada]);
      expect(keys.state("person", "ada")).toBe("destroyed");
    });
    expect(await read(path, service)).toEqual(["", all[1]]);
  });

  test("cannot be opened without it, and leaves no half of a store", async () => {
    const path = temporaryFolder();
    const service = createService("a", first);
    service.reachable = false;
    await expectCode("master-key-unavailable", () => openKeyStore({ path, masterKey: service }));
    expect(readdirSync(path)).toEqual(["lock"]);
    service.reachable = true;
    const all = await fill(path, service);
    service.reachable = false;
    await expectCode("master-key-unavailable", () => openKeyStore({ path, masterKey: service }));
    service.reachable = true;
    expect(await read(path, service)).toEqual(all);
  });

  test("is not written under a key that wraps and does not unwrap", async () => {
    const path = temporaryFolder();
    const all = await fill(path, first);
    const oneWay: MasterKeyProvider = { ...createService("a", second), unwrap: async () => new Uint8Array(64) };
    await withKeys(path, first, async (keys) => {
      await expectCode("master-key-unavailable", () => keys.rotateMasterKey(oneWay));
      expect(hex(keys.get("person", "ada"))).toBe(all[0]);
    });
    expect(await read(path, first)).toEqual(all);
  });

  test("refuses every flipped bit and every truncation of its epoch file", async () => {
    const path = temporaryFolder();
    const service = createService("a", first);
    await fill(path, service);
    const { decodeEpoch } = await import("../src/key-epoch.ts");
    const bytes = readFileSync(join(path, "epoch"));
    expect(bytes.subarray(0, 8).toString()).toBe("tskeyep2");
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const flipped = Buffer.from(bytes);
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      await expectCode("key-store-corrupt", () => decodeEpoch(flipped, service, "epoch"));
    }
    for (let size = 0; size < bytes.length; size++) {
      await expectCode("key-store-corrupt", () => decodeEpoch(bytes.subarray(0, size), service, "epoch"));
    }
  });
});

describe("changing the master key", () => {
  const service = createService("a", first);
  test.each([
    ["from one file to another", first, second],
    ["from a file to a service", first, service],
    ["from a service to a file", service, second],
    ["from one service to another", service, createService("b", second)],
  ])("%s keeps all keys and tombstones, and the old master key opens nothing", async (_, from, to) => {
    const path = temporaryFolder();
    const all = await fill(path, from);
    await withKeys(path, from, async (keys) => {
      await keys.destroy([bob]);
      const { epoch } = keys;
      await keys.rotateMasterKey(to);
      expect(keys.epoch).toBe(epoch + 1);
      expect(hex(keys.get("person", "ada"))).toBe(all[0]);
      keys.getOrCreate("person", "new");
      // The next destruction is wrapped by the new one too.
      await keys.sync();
      await keys.destroy([{ kind: "person", name: "new" }]);
    });
    await expectCode("master-key-wrong", () => openKeyStore({ path, masterKey: from }));
    await withKeys(path, to, (keys) => {
      expect(hex(keys.get("person", "ada"))).toBe(all[0]);
      expect([bob, { kind: "person", name: "new" } as const].map(({ kind, name }) => keys.state(kind, name))).toEqual([
        "destroyed",
        "destroyed",
      ]);
    });
  });

  test("the caller's keys are left as they are", async () => {
    const path = temporaryFolder();
    const [a, b] = [new Uint8Array(first), new Uint8Array(second)];
    await withKeys(path, masterKeyProvider(a), (keys) => keys.rotateMasterKey(b));
    expect([a, b]).toEqual([first, second]);
  });

  test("the old epoch key with the old master key reads nothing that is written afterwards", async () => {
    const path = temporaryFolder();
    await fill(path, first);
    const copy = temporaryFolder();
    cpSync(join(path, "epoch"), join(copy, "epoch"));
    expect(await rewrapKeyStore({ path, masterKey: first, next: second })).toEqual({ changed: true, epoch: 2 });
    for (const name of ["keys", "mark"]) cpSync(join(path, `${name}.2`), join(copy, `${name}.1`));
    await expect(read(copy, first)).rejects.toThrow(StorageError);
    expect(readdirSync(path).toSorted()).toEqual(["epoch", "keys.2", "lock", "mark.2"]);
  });

  test("rewrapping again does nothing, and a third master key is refused", async () => {
    const path = temporaryFolder();
    await fill(path, first);
    await rewrapKeyStore({ path, masterKey: first, next: second });
    expect(await rewrapKeyStore({ path, masterKey: first, next: second })).toEqual({ changed: false, epoch: 2 });
    const third = new Uint8Array(32).fill(3);
    await expectCode("master-key-wrong", () => rewrapKeyStore({ path, masterKey: first, next: third }));
  });

  test("a change that fails at any step leaves the old master key or the new one, and can be done again", async () => {
    const before = temporaryFolder();
    const all = await fill(before, first);
    const next = createService("a", second);
    const outcomes = new Set<string>();
    for (const call of ["write", "sync", "link", "rename", "unlink"] as const) {
      for (const when of ["before", "after"] as const) {
        for (let after = 0; ; after++) {
          const outcome = await changeWithFault({ call, when, after }, { before, all, next });
          if (outcome === "no fault") break;
          outcomes.add(outcome);
        }
      }
    }
    expect([...outcomes].toSorted()).toEqual(["new", "old"]);
  });
});

interface Change {
  /** A key store under the first master key, left as it is. */
  readonly before: string;
  readonly all: readonly string[];
  readonly next: MasterKey;
}

async function changeWithFault(fault: Fault, { before, all, next }: Change): Promise<"old" | "new" | "no fault"> {
  const path = temporaryFolder();
  for (const name of ["epoch", "keys.1", "mark.1"]) cpSync(join(before, name), join(path, name));
  const fileSystem = createFaultyFileSystem();
  const keys = await openKeyStore({ path, masterKey: first, fileSystem });
  fileSystem.fault = fault;
  const failed = await keys.rotateMasterKey(next).then(
    () => false,
    () => true,
  );
  fileSystem.fault = undefined;
  await keys.close();
  if (!failed) return "no fault";
  const { changed } = await rewrapKeyStore({ path, masterKey: first, next });
  expect(await read(path, next)).toEqual(all);
  expect(readdirSync(path)).toHaveLength(4);
  for (const name of readdirSync(path)) expect(name).not.toMatch(/^epoch\./);
  return changed ? "old" : "new";
}

test("an unavailable key store says why at every call, and closes", async () => {
  const error = new StorageError("master-key-wrong", "another master key");
  const keys = createUnavailableKeyStore(error);
  const calls: readonly (() => unknown)[] = [
    () => keys.epoch,
    () => keys.get("person", "ada"),
    () => keys.getOrCreate("person", "ada"),
    () => keys.state("person", "ada"),
    () => keys.sync(),
    () => keys.retire(ada, bob),
    () => keys.destroy([]),
    () => keys.rotateMasterKey(first),
  ];
  for (const call of calls) expect(await expectCode("master-key-wrong", call)).toBe(error);
  await keys.close();
});

test("no file of a key store holds a master key, whichever it is under", async () => {
  const path = temporaryFolder();
  await fill(path, first);
  await rewrapKeyStore({ path, masterKey: first, next: createService("a", second) });
  for (const name of readdirSync(path).filter((file) => statSync(join(path, file)).isFile())) {
    const content = readFileSync(join(path, name));
    for (const key of [first, second]) expect(content.includes(Buffer.from(key))).toBe(false);
  }
});

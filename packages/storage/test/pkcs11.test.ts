/** A master key in a PKCS#11 token: SoftHSM, a real one in software. */
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type MasterKeyProvider, openKeyStore, rewrapKeyStore } from "../src/index.ts";
import { createPkcs11MasterKey, generatePkcs11Key, type Pkcs11Options } from "../src/pkcs11.ts";
import { openPkcs11Library, SECRET_KEY } from "../src/pkcs11-library.ts";
import { findSoftHsm, useTokensIn } from "../../../test/support/soft-hsm.ts";
import { expectCode } from "./expect-code.ts";

const softHsm = findSoftHsm();

const PIN = "canary-4711";
const context = Buffer.from("context");
const hex = (bytes: Uint8Array | undefined): string => Buffer.from(bytes ?? []).toString("hex");

describe.skipIf(softHsm === undefined)("a master key in a token (SoftHSM is needed: Debian's softhsm2)", () => {
  const folder = mkdtempSync(join(tmpdir(), "tallystick-test-"));
  const library = softHsm?.library ?? "";
  const options: Pkcs11Options = {
    library,
    token: { label: "tallystick" },
    keyLabel: "master",
    pin: { variable: "TOKEN_PIN", env: { TOKEN_PIN: PIN } },
  };
  const withPin = (pin: string): Pkcs11Options => ({
    ...options,
    pin: { variable: "TOKEN_PIN", env: { TOKEN_PIN: pin } },
  });
  let masterKey: MasterKeyProvider;

  beforeAll(async () => {
    useTokensIn(folder);
    for (const label of ["tallystick", "locked"]) softHsm?.createToken(label, PIN);
    for (const keyLabel of ["master", "other"]) await generatePkcs11Key({ ...options, keyLabel });
    masterKey = createPkcs11MasterKey(options);
  });

  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  test("gives back what it wrapped, under the same context only", async () => {
    const secret = new Uint8Array(64).fill(7);
    const wrapped = await masterKey.wrap(secret, context);
    expect(wrapped).toHaveLength(12 + 64 + 16);
    expect(await masterKey.unwrap(wrapped, context)).toEqual(secret);
    expect(hex(await masterKey.wrap(secret, context))).not.toBe(hex(wrapped));
    await expectCode("master-key-wrong", () => masterKey.unwrap(wrapped, Buffer.from("contexT")));
    const other = createPkcs11MasterKey({ ...options, keyLabel: "other" });
    await expectCode("master-key-wrong", () => other.unwrap(wrapped, context));
    for (const at of [0, 11, 12, 75, 76, 91]) {
      const flipped = wrapped.with(at, (wrapped[at] ?? 0) ^ 1);
      await expectCode("master-key-wrong", () => masterKey.unwrap(flipped, context));
    }
    for (const size of [0, 12, 27, 28, 91]) {
      await expectCode("master-key-wrong", () => masterKey.unwrap(wrapped.subarray(0, size), context));
    }
    // It still works after all that was refused.
    expect(await masterKey.unwrap(wrapped, context)).toEqual(secret);
  });

  test("secrets of every size up to the bound come back, with an empty context too", async () => {
    for (const size of [1, 15, 16, 17, 32, 1024]) {
      const secret = new Uint8Array(size).fill(size);
      const wrapped = await masterKey.wrap(secret, new Uint8Array(0));
      expect(await masterKey.unwrap(wrapped, new Uint8Array(0))).toEqual(secret);
    }
  });

  test("uses under way together each get their answer", async () => {
    const secrets = Array.from({ length: 12 }, (_, at) => new Uint8Array(32).fill(at));
    const wrapped = await Promise.all(secrets.map((secret) => masterKey.wrap(secret, context)));
    expect(await Promise.all(wrapped.map((bytes) => masterKey.unwrap(bytes, context)))).toEqual(secrets);
  });

  test("is made as one that never leaves the token, and never twice under one label", async () => {
    const session = { slot: await slotOf("tallystick"), pin: PIN };
    const opened = await openPkcs11Library(library);
    const wanted = { class: SECRET_KEY, label: "master", sensitive: true, extractable: false, private: true };
    expect(await opened.withSession(session, (open) => open.find(wanted))).toHaveLength(1);
    const error = await expectCode("master-key-unavailable", () => generatePkcs11Key(options));
    expect(error.message).toContain("has a key master already");
  });

  test("is found by the token's slot as by its label, and described by what it is", async () => {
    const secret = new Uint8Array(32).fill(1);
    const bySlot = createPkcs11MasterKey({ ...options, token: { slot: await slotOf("tallystick") } });
    expect(await bySlot.unwrap(await masterKey.wrap(secret, context), context)).toEqual(secret);
    expect(masterKey.describe()).toBe("key master of token tallystick");
    expect(bySlot.describe()).toMatch(/^key master of the token in slot \d+$/);
  });

  test("the PIN may be in a file of its owner, and a new one holds at once", async () => {
    const file = join(folder, "pin");
    const inFile = createPkcs11MasterKey({ ...options, pin: { file } });
    await expectCode("master-key-unavailable", () => inFile.wrap(new Uint8Array(32), context));
    writeFileSync(file, `${PIN}\n`, { mode: 0o600 });
    expect(await inFile.wrap(new Uint8Array(32), context)).toHaveLength(12 + 32 + 16);
    writeFileSync(file, "");
    await expectCode("master-key-unavailable", () => inFile.wrap(new Uint8Array(32), context));
    const exposed = join(folder, "exposed-pin");
    writeFileSync(exposed, PIN, { mode: 0o644 });
    const open = createPkcs11MasterKey({ ...options, pin: { file: exposed } });
    await expectCode("secret-file-exposed", () => open.wrap(new Uint8Array(32), context));
  });

  test.each<[string, () => Pkcs11Options, RegExp]>([
    ["no such library", () => ({ ...options, library: join(folder, "none.so") }), /library .*none\.so cannot be used/],
    ["a library of another kind", () => ({ ...options, library: "libc.so.6" }), /library libc\.so\.6 cannot be used/],
    ["no such token", () => ({ ...options, token: { label: "none" } }), /no token with the label none/],
    ["no such slot", () => ({ ...options, token: { slot: 12_345 } }), /slot 12345 cannot be used \(C_OpenSession/],
    ["no such key", () => ({ ...options, keyLabel: "none" }), /token tallystick has no AES key none/],
    ["an empty PIN", () => withPin(""), /variable TOKEN_PIN does not hold a PIN/],
  ])("with %s says so", async (_, wrong, message) => {
    const error = await expectCode("master-key-unavailable", () =>
      createPkcs11MasterKey(wrong()).wrap(new Uint8Array(32), context),
    );
    expect(error.message).toMatch(message);
  });

  test("a wrong PIN is tried once only, whoever asks, so that the token does not lock", async () => {
    const at = { ...withPin("wrong-canary"), token: { label: "locked" } };
    const first = await expectCode("master-key-unavailable", () =>
      createPkcs11MasterKey(at).wrap(new Uint8Array(32), context),
    );
    expect(first.message).toContain("CKR_PIN_INCORRECT");
    const second = await expectCode("master-key-unavailable", () =>
      createPkcs11MasterKey(at).wrap(new Uint8Array(32), context),
    );
    expect(second.message).toContain("not tried again");
    for (const error of [first, second]) {
      expect(JSON.stringify([error.message, error.details, String(error.cause)])).not.toContain("canary");
    }
    const right = { ...options, token: { label: "locked" } };
    await generatePkcs11Key(right);
    expect(await createPkcs11MasterKey(right).wrap(new Uint8Array(32), context)).toHaveLength(60);
  });

  test("wraps a key store, takes it over from a file, and gives it back", async () => {
    const path = join(folder, "key-store");
    const inFile = new Uint8Array(32).fill(9);
    const before = await openKeyStore({ path, masterKey: inFile });
    const key = hex(before.getOrCreate("person", "ada"));
    await before.close();

    expect(await rewrapKeyStore({ path, masterKey: inFile, next: masterKey })).toEqual({ changed: true, epoch: 2 });
    await expectCode("master-key-wrong", () => openKeyStore({ path, masterKey: inFile }));
    const other = createPkcs11MasterKey({ ...options, keyLabel: "other" });
    await expectCode("master-key-wrong", () => openKeyStore({ path, masterKey: other }));
    const keys = await openKeyStore({ path, masterKey });
    expect(hex(keys.get("person", "ada"))).toBe(key);
    keys.getOrCreate("person", "bob");
    await keys.destroy([{ kind: "person", name: "bob" }]);
    await keys.close();
    for (const name of readdirSync(path).filter((file) => file !== "lock")) {
      expect(readFileSync(join(path, name)).includes(PIN)).toBe(false);
    }

    const copy = join(folder, "copy");
    cpSync(path, copy, { recursive: true, filter: (source) => !source.endsWith("/lock") });
    expect(await rewrapKeyStore({ path, masterKey, next: inFile })).toEqual({ changed: true, epoch: 4 });
    const after = await openKeyStore({ path, masterKey: inFile });
    expect(hex(after.get("person", "ada"))).toBe(key);
    expect(after.state("person", "bob")).toBe("destroyed");
    await after.close();
    // What it was while the token wrapped it, the token alone opens.
    await expectCode("master-key-wrong", () => openKeyStore({ path: copy, masterKey: inFile }));
    expect(existsSync(join(copy, "epoch"))).toBe(true);
  });

  async function slotOf(label: string): Promise<number> {
    const slots = await (await openPkcs11Library(library)).slots();
    return slots.find((slot) => slot.label === label)?.slot ?? -1;
  }
});

test("no module that an ordinary start loads asks for koffi", () => {
  const folder = new URL("../src/", import.meta.url);
  const asking = readdirSync(folder).filter((name) =>
    readFileSync(new URL(name, folder), "utf8").includes("pkcs11-library.ts"),
  );
  expect(asking).toEqual(["pkcs11.ts"]);
  const loading = readdirSync(folder).filter((name) =>
    /from "\.\/pkcs11\.ts"/.test(readFileSync(new URL(name, folder), "utf8")),
  );
  expect(loading).toEqual([]);
});

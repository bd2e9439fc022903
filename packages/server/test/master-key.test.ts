/** Where a server's master key may lie, and that the log runs the same wherever it does. */
import { chmodSync, existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { rewrapKeyStore } from "@tallystick/storage";
import { errorCode, rejectionCode } from "../../../test/support/errors.ts";
import { findSoftHsm, useTokensIn } from "../../../test/support/soft-hsm.ts";
import { temporaryFolder } from "../../../test/support/temporary-folder.ts";
import {
  createMasterKey,
  initServer,
  layoutOf,
  logLayoutOf,
  masterKeyOf,
  openMasterKey,
  parseConfig,
  serveLogs,
} from "../src/index.ts";
import { login } from "./test-server.ts";

const log = { name: "app", origin: "log.example/app" };
const PIN = "canary-4711";

function parse(masterKey: unknown): unknown {
  return parseConfig(JSON.stringify({ logs: [log], masterKey }), "server.json").masterKey;
}

describe("masterKey in server.json", () => {
  const token = { library: "/lib/token.so", tokenLabel: "t", keyLabel: "k", pinFile: "pin" };

  test.each([
    [{ file: "/run/secrets/master.key" }],
    [{ env: "LOG_KEY" }],
    [{ pkcs11: token }],
    [{ pkcs11: { library: "/lib/token.so", slot: 0, keyLabel: "k", pinEnv: "PIN" } }],
  ])("is taken as %j", (masterKey) => {
    expect(parse(masterKey)).toEqual(masterKey);
  });

  test.each([
    [{}, /masterKey: expected one of file, env and pkcs11/],
    [{ file: "a", env: "B" }, /masterKey: expected one of file, env and pkcs11/],
    [{ env: "not a name" }, /masterKey.env: expected the name of a variable/],
    [{ key: "ab".repeat(32) }, /masterKey/],
    [{ pkcs11: { ...token, slot: 1 } }, /masterKey.pkcs11: expected one of tokenLabel and slot/],
    [{ pkcs11: { ...token, pinFile: undefined } }, /masterKey.pkcs11: expected one of pinFile and pinEnv/],
    [{ pkcs11: { ...token, pinEnv: "PIN" } }, /masterKey.pkcs11: expected one of pinFile and pinEnv/],
    [{ pkcs11: { ...token, library: "token.so" } }, /masterKey.pkcs11.library: expected an absolute path/],
    [{ pkcs11: { ...token, keyLabel: "" } }, /masterKey.pkcs11.keyLabel/],
    [{ pkcs11: { ...token, pin: PIN } }, /masterKey.pkcs11/],
  ])("is refused as %j", (masterKey, message) => {
    expect(errorCode(() => parse(masterKey))).toBe("config-malformed");
    expect(() => parse(masterKey)).toThrow(message);
    expect(() => parse(masterKey)).not.toThrow(/canary|abab/);
  });
});

describe("masterKeyOf", () => {
  test("reads the file of a folder that is named from the present one", async () => {
    const dir = temporaryFolder();
    await initServer({ dir, ...log });
    expect(await masterKeyOf(relative(process.cwd(), dir))).toEqual(await masterKeyOf(dir));
  });

  test("reads the file of the folder, another file, or a variable, as the configuration says", async () => {
    const dir = temporaryFolder();
    const { configPath } = await initServer({ dir, ...log });
    const made = await masterKeyOf(dir);
    expect(made).toHaveLength(32);
    const other = join(dir, "other.key");
    writeFileSync(other, "ab".repeat(32), { mode: 0o600 });
    writeFileSync(configPath, JSON.stringify({ logs: [log], masterKey: { file: "other.key" } }));
    expect(await masterKeyOf(dir)).toEqual(new Uint8Array(32).fill(0xab));
    vi.stubEnv("LOG_KEY", "cd".repeat(32));
    vi.stubEnv("TALLYSTICK_MASTER_KEY", "ef".repeat(32));
    onTestFinished(() => {
      vi.unstubAllEnvs();
    });
    expect(await masterKeyOf(dir)).toEqual(new Uint8Array(32).fill(0xab));
    expect(await openMasterKey({ env: "LOG_KEY" }, dir)).toEqual(new Uint8Array(32).fill(0xcd));
    expect(await masterKeyOf(dir, {})).toEqual(new Uint8Array(32).fill(0xef));
    expect(await rejectionCode(openMasterKey({ env: "LOG_KEY_TWO" }, dir))).toBe("master-key-malformed");
  });
});

describe("createMasterKey", () => {
  test("makes a file once, and no variable", async () => {
    const dir = temporaryFolder();
    await createMasterKey({ file: "new.key" }, dir);
    const made = await openMasterKey({ file: "new.key" }, dir);
    expect(await rejectionCode(createMasterKey({ file: "new.key" }, dir))).toBe("storage-unavailable");
    expect(await openMasterKey({ file: "new.key" }, dir)).toEqual(made);
    await expect(createMasterKey({ env: "LOG_KEY" }, dir)).rejects.toThrow(TypeError);
  });
});

test("a log that is added to a server whose master key lies elsewhere gets no file of one", async () => {
  const dir = temporaryFolder();
  const { configPath } = await initServer({ dir, ...log });
  rmSync(layoutOf(dir).masterKey);
  writeFileSync(configPath, JSON.stringify({ logs: [log], masterKey: { env: "LOG_KEY" } }));
  await initServer({ dir, name: "other", origin: "log.example/other" });
  expect(existsSync(layoutOf(dir).masterKey)).toBe(false);
});

const softHsm = findSoftHsm();

describe.skipIf(softHsm === undefined)("a server whose master key is in a token (SoftHSM is needed)", () => {
  test("takes the key stores over from the file, and runs without the file, without the PIN in sight", async () => {
    const dir = temporaryFolder();
    useTokensIn(join(dir, "soft-hsm"));
    softHsm?.createToken("tallystick", PIN);
    const made = await initServer({ dir, ...log, port: 0 });
    const pkcs11 = {
      library: softHsm?.library ?? "",
      tokenLabel: "tallystick",
      keyLabel: "master",
      pinFile: "token.pin",
    };
    writeFileSync(join(dir, "token.pin"), PIN, { mode: 0o600 });
    await createMasterKey({ pkcs11 }, dir);
    expect(await rejectionCode(createMasterKey({ pkcs11 }, dir))).toBe("master-key-unavailable");

    const index = await submit(dir, made.tokens.writer);
    const next = await openMasterKey({ pkcs11 }, dir);
    await rewrapKeyStore({ path: logLayoutOf(dir, "app").keyStore, masterKey: await masterKeyOf(dir), next });
    const before = JSON.parse(readFileSync(made.configPath, "utf8")) as object;
    writeFileSync(made.configPath, JSON.stringify({ ...before, masterKey: { pkcs11 } }));
    rmSync(layoutOf(dir).masterKey);

    const lines: string[] = [];
    expect(await submit(dir, made.tokens.writer, lines)).toBeGreaterThan(index);
    expect(lines.join("\n")).not.toContain(PIN);

    // Without the PIN, or with one that others may read, heads are served all the same.
    const pinPath = join(dir, "token.pin");
    for (const harm of [() => chmodSync(pinPath, 0o644), () => rmSync(pinPath)]) {
      harm();
      const served = await serveLogs({ dir });
      expect(await (await fetch(`${served.url}/readyz`)).text()).toMatch(/keys-unavailable.*token\.pin/);
      expect((await fetch(`${served.url}/app/checkpoint`)).status).toBe(200);
      await served.close();
    }
  });
});

/** Starts the server, reports an event, reads it back, and ends the server. Gives the event's index. */
async function submit(dir: string, writer: string, lines: string[] = []): Promise<number> {
  const note = (message: string, details?: unknown): void => {
    lines.push(`${message} ${JSON.stringify(details)}`);
  };
  const served = await serveLogs({ dir, logger: { info: note, warn: note } });
  try {
    await vi.waitFor(async () => expect((await fetch(`${served.url}/readyz`)).status).toBe(200), { timeout: 20_000 });
    const reply = await fetch(`${served.url}/app/v1/events?wait=published`, {
      method: "POST",
      headers: { authorization: `Bearer ${writer}`, "content-type": "application/json" },
      body: JSON.stringify(login()),
    });
    expect(reply.status).toBe(201);
    return ((await reply.json()) as { index: number }).index;
  } finally {
    await served.close();
  }
}

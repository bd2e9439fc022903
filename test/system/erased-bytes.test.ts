/**
 * What is on disk before and after an erasure and an expiry, looked at as bytes: nothing personal in the clear before, and
 * nothing that opens with any key still in existence after, whatever copy of the data folder somebody kept.
 */
import { cpSync, readFileSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { decodeEvent, decodeLeaf, decodeOpening, decodeSealed, openSealed, sealKey } from "@tallystick/events";
import type { Log } from "@tallystick/log";
import { type KeyStore, type LogStorage, openKeyStore, openLevelStorage } from "@tallystick/storage";
import { describe, expect, test } from "vitest";
import { START_MS, type Site, createSite, event, expectWhole, seed, until } from "../../packages/log/test/site.ts";
import { decodeSealedRow } from "../../packages/log/src/keys.ts";
import { decodeEpoch } from "../../packages/storage/src/key-epoch.ts";
import { KeyFile } from "../../packages/storage/src/key-file.ts";
import { kindCode } from "../../packages/storage/src/key-row.ts";
import { nodeFileSystem } from "../../packages/storage/src/file-system.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const DAY_MS = 86_400_000;
const RULES = "version: 1\nclasses:\n  auth: { keep: 6y }\n  access: { keep: 10d }\nother: { keep: 6y }\n";
const masterKey = seed("master key");

/** Words that nobody writes by chance: of persons, of contents, of what reads and orders say. */
const CANARIES = {
  erased: "canary-person-who-is-erased",
  kept: "canary-person-who-is-kept",
  context: "canary-in-the-context-of-an-event",
  target: "canary-target",
  operation: "canary-operation",
  purpose: "canary-purpose-of-a-read",
  session: "canary-session-of-the-application",
  tenant: "canary-tenant",
} as const;

interface Opened {
  readonly log: Log;
  readonly storage: LogStorage;
  readonly keyStore: KeyStore;
  close(): Promise<void>;
}

async function openAt(site: Site, folder: string, nowMs: number, lines: string[] = []): Promise<Opened> {
  site.clock.nowMs = nowMs;
  const storage = await openLevelStorage({ path: join(folder, "data") });
  const keyStore = await openKeyStore({ path: join(folder, "keys"), masterKey });
  const tell = (message: string, details?: object): void => void lines.push(`${message} ${JSON.stringify(details)}`);
  const options = { confirmClock: true, proposedRules: async () => RULES, logger: { info: tell, warn: tell } };
  const log = await site.open({ storage, keyStore, ...options });
  await until(() => log.status().state === "ok" && log.disposition.rules().index !== undefined);
  const close = async (): Promise<void> => {
    await log.close();
    await keyStore.close();
    await storage.close();
  };
  return { log, storage, keyStore, close };
}

async function fill(log: Log): Promise<void> {
  const [erased, kept] = [CANARIES.erased, CANARIES.kept].map((id) => ({ type: "user", id }));
  const fields = {
    outcome: "success",
    tenant: CANARIES.tenant,
    operation: CANARIES.operation,
    session: { id: CANARIES.session },
    targets: [{ type: "invoice", id: CANARIES.target }],
    context: { note: CANARIES.context },
  };
  const events = [erased, kept].flatMap((actor, at) => [
    event(2 * at, { type: "auth.login", actor, ...fields }),
    event(2 * at + 1, { type: "access.read", actor, ...fields }),
  ]);
  await log.appendEvents({ writer: "app", events });
  await log.readEvent({ index: 0, reader: "auditor", purpose: CANARIES.purpose });
}

function filesBelow(folder: string): string[] {
  return readdirSync(folder).flatMap((name) => {
    const path = join(folder, name);
    return statSync(path).isDirectory() ? filesBelow(path) : [path];
  });
}

/** A text as it could stand in a file. */
function formsOf(text: string): Buffer[] {
  const bytes = Buffer.from(text);
  const base64 = [0, 1, 2].map((shift) => Buffer.from(bytes.subarray(shift).toString("base64").slice(0, -4)));
  return [bytes, Buffer.from(text, "utf16le"), Buffer.from(bytes.toString("hex")), ...base64];
}

function expectNowhere(folder: string, secrets: Readonly<Record<string, readonly Buffer[]>>): void {
  const found = filesBelow(folder).flatMap((path) => {
    const bytes = readFileSync(path);
    return Object.entries(secrets).flatMap(([name, forms]) =>
      forms.some((form) => bytes.includes(form)) ? [`${name} in ${path.slice(folder.length)}`] : [],
    );
  });
  expect(found).toEqual([]);
}

interface Keys {
  readonly classDays: Uint8Array[];
  readonly persons: Uint8Array[];
  readonly all: Uint8Array[];
}

/** Every key that a key store's folder still has, of whatever name. */
async function keysIn(folder: string): Promise<Keys> {
  const path = join(folder, "epoch");
  const epoch = await decodeEpoch(readFileSync(path), masterKey, path);
  const file = await KeyFile.open(folder, epoch, nodeFileSystem);
  const rows = [...file.chunks()].flat().filter(({ state }) => state === "live");
  await file.close();
  const of = (kind: "class-day" | "person"): Uint8Array[] =>
    rows.filter((row) => row.kind === kindCode(kind)).map(({ secret }) => secret);
  return { classDays: of("class-day"), persons: of("person"), all: rows.map(({ secret }) => secret) };
}

/** Tries every pair of keys on every sealed event of a data folder; gives the ids of the events that open. */
async function openedWith(dataFolder: string, { classDays, persons }: Keys): Promise<Set<string>> {
  const storage = await openLevelStorage({ path: dataFolder });
  const opened = new Set<string>();
  for await (const { key, value } of storage.scanRows("sealed")) {
    const leaf = decodeLeaf((await storage.getRow("leaf", key)) ?? new Uint8Array());
    const sealed = decodeSealed(decodeSealedRow(value).bytes);
    for (const classDayKey of classDays) {
      for (const personKey of [null, ...persons]) {
        try {
          const sealKeyOfPair = sealKey({ classDayKey, personKey });
          const opening = openSealed({ sealed, key: sealKeyOfPair, commitment: leaf.commitment });
          opened.add(decodeEvent(decodeOpening(opening).event).id);
        } catch {
          // Not these two.
        }
      }
    }
  }
  await storage.close();
  return opened;
}

describe("the bytes on disk", () => {
  test("hold no person, content or key in the clear; and after erasure and expiry no copy opens with any key there is", async () => {
    const site = await createSite();
    const [folder, copy] = [temporaryFolder(), temporaryFolder()];
    const lines: string[] = [];
    const first = await openAt(site, folder, START_MS, lines);
    await fill(first.log);
    await first.log.disposition.setHold({ by: "o", case: "c", selectors: { subject: CANARIES.kept, class: "auth" } });
    await first.close();
    const before = await keysIn(join(folder, "keys"));
    const clear = Object.fromEntries(Object.entries(CANARIES).map(([name, text]) => [name, formsOf(text)]));
    expectNowhere(folder, clear);
    const rawKeys = [masterKey, ...before.all].map((key) => [
      Buffer.from(key),
      Buffer.from(Buffer.from(key).toString("hex")),
    ]);
    expectNowhere(folder, { "a key": rawKeys.flat() });
    // Somebody keeps a copy of the data, write-ahead log and all.
    cpSync(join(folder, "data"), join(copy, "data"), { recursive: true });
    expect((await openedWith(join(copy, "data"), before)).size).toBeGreaterThanOrEqual(4);

    const second = await openAt(site, folder, START_MS + 20 * DAY_MS, lines);
    const { request } = await second.log.disposition.erase({ subject: CANARIES.erased, ground: "asked", by: "o" });
    await second.log.disposition.waitForDestruction(request, 20_000);
    await second.log.disposition.runRetention();
    await untilDone(second.log);
    await second.close();
    const after = await keysIn(join(folder, "keys"));
    expect(after.all.length).toBeLessThan(before.all.length);
    const ids = (indexes: readonly number[]): string[] =>
      indexes.map((n) => event(n, { type: "auth.login", outcome: "success", actor: { type: "user", id: "x" } }).id);
    for (const place of [join(folder, "data"), join(copy, "data")]) {
      const opened = await openedWith(place, after);
      // Of the four: both accesses expired, both events of the one person were erased; the other's login is left.
      expect(ids([0, 1, 2, 3]).filter((id) => opened.has(id))).toEqual(ids([2]));
    }
    const gone = before.all.filter((key) => !after.all.some((left) => Buffer.from(left).equals(Buffer.from(key))));
    expect(gone.length).toBeGreaterThanOrEqual(2);
    expectNowhere(folder, { ...clear, "a destroyed key": gone.map((key) => Buffer.from(key)) });
    for (const text of Object.values(CANARIES)) expect(lines.join("\n")).not.toContain(text);
    const last = await openAt(site, folder, START_MS + 20 * DAY_MS);
    await last.log.close();
    await expectWhole({ ...site, keyStore: last.keyStore }, last.storage);
    await last.keyStore.close();
    await last.storage.close();
  });
});

async function untilDone(log: Log): Promise<void> {
  const deadline = performance.now() + 20_000;
  while ((await log.disposition.destructions()).some(({ state }) => state !== "done")) {
    if (performance.now() > deadline) throw new Error("not done within 20 s");
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

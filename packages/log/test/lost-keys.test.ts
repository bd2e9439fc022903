/** A drill: the key store is lost, and restored from a backup that is older than the newest entries. */
import { renameSync } from "node:fs";
import { join } from "node:path";
import type { TallyEvent } from "@tallystick/events";
import {
  type KeyStore,
  KeyBackups,
  createMemoryStorage,
  openKeyStore,
  readRestorationNote,
  restoreKeyStore,
} from "@tallystick/storage";
import { describe, expect, onTestFinished, test } from "vitest";
import { rejectionCode } from "../../../test/support/errors.ts";
import { temporaryFolder } from "../../../test/support/temporary-folder.ts";
import { type Log, fsckLog, openLog } from "../src/index.ts";
import { lostRangesOf } from "../src/lost-keys.ts";
import { ORIGIN, START_MS, type Site, createSite, event, login, until } from "./site.ts";

const masterKey = new Uint8Array(32).fill(5);

/** A log over a key store in files with backups, which can be lost and restored. */
class Drill {
  readonly folder: string = temporaryFolder();
  readonly path: string = join(this.folder, "keystore");
  readonly target: string = join(this.folder, "backups");
  readonly keys: string = join(this.folder, "backup-keys");
  readonly site: Site;
  #keyStore: KeyStore | undefined;
  #log: Log | undefined;

  constructor(site: Site) {
    this.site = site;
    onTestFinished(async () => this.stop());
  }

  async start(): Promise<Log> {
    this.#keyStore = await openKeyStore({ path: this.path, masterKey });
    const restored = (await readRestorationNote(this.path)) ?? null;
    const log = await openLog(
      this.site.options({ keyStore: this.#keyStore, restored, scrubEntriesPerSecond: 100_000, confirmClock: true }),
    );
    this.#log = log;
    await until(() => log.status().state !== "starting");
    return log;
  }

  async stop(): Promise<void> {
    await this.#log?.close({ graceMs: 0 });
    await this.#keyStore?.close();
  }

  async backUp(): Promise<string> {
    const { path, target, keys, site } = this;
    return (await new KeyBackups({ path, target, keys, masterKey, origin: ORIGIN, now: () => site.clock.nowMs }).run())
      .path;
  }

  async loseAndRestore(from: string): Promise<void> {
    renameSync(this.path, `${this.path}.set-aside`);
    const { keys, path } = this;
    await restoreKeyStore({ from, keys, path, masterKey, origin: ORIGIN });
  }

  async fsck(): ReturnType<typeof fsckLog> {
    const keyStore = await openKeyStore({ path: this.path, masterKey });
    try {
      const { storage, keys } = this.site;
      const verifiers = keys.signers.map(({ verifier }) => verifier);
      return await fsckLog({ origin: ORIGIN, storage, keyStore, verifiers });
    } finally {
      await keyStore.close();
    }
  }
}

function by(person: string, n: number): TallyEvent {
  return event(n, { type: "auth.login", outcome: "success", actor: { type: "user", id: person } });
}

async function append(log: Log, ...events: TallyEvent[]): Promise<number[]> {
  return (await log.appendEvents({ writer: "app", events })).map(({ index }) => index);
}

async function idOfActor(log: Log, index: number): Promise<string | undefined> {
  return (await log.readEvent({ index, reader: "test" })).event.actor?.id;
}

/** What the log says of its restoration. */
async function restorations(log: Log): Promise<TallyEvent[]> {
  const found: TallyEvent[] = [];
  for (let index = 0, size = log.size(); index < size; index += 1) {
    const read = await log.readEvent({ index, reader: "test" }).catch(() => undefined);
    if (read?.event.context?.["change"] === "restored") found.push(read.event);
  }
  return found;
}

describe("a key store that is restored from a backup", () => {
  test("old contents are read, entries whose keys are lost are named, and events are taken", async () => {
    const drill = new Drill(await createSite({ storage: createMemoryStorage() }));
    const { clock } = drill.site;
    const log = await drill.start();
    await append(log, login(0), by("old", 1));
    const from = await drill.backUp();
    const [known, fresh] = await append(log, by("old", 2), by("new", 3));
    await drill.stop();
    clock.nowMs += 86_400_000;
    const tomorrow = await drill.start();
    const [nextDay] = await append(tomorrow, by("old", 4));
    await drill.stop();
    await drill.loseAndRestore(from);

    const again = await drill.start();
    await until(() => again.size() > 5);
    expect([await idOfActor(again, 1), await idOfActor(again, known ?? -1)]).toEqual(["old", "old"]);
    for (const index of [fresh, nextDay])
      expect(await rejectionCode(again.readEvent({ index: index ?? -1, reader: "test" }))).toBe("key-lost");
    const [told, ...more] = await restorations(again);
    expect(more).toEqual([]);
    expect(told?.context).toMatchObject({ change: "restored", takenAt: START_MS, epoch: 1, count: 2 });
    expect(told && lostRangesOf(told)).toEqual([{ first: fresh, last: nextDay }]);
    const [after, afterToo] = await append(again, by("new", 5), by("old", 6));
    expect([await idOfActor(again, after ?? -1), await idOfActor(again, afterToo ?? -1)]).toEqual(["new", "old"]);
    // Sent again, one whose contents are lost cannot be compared.
    expect(await rejectionCode(append(again, by("new", 3)))).toBe("log-corrupt");
    expect(await idOfActor(again, 1)).toBe("old");
    await drill.stop();

    const third = await drill.start();
    expect(third.status().state).toBe("ok");
    expect(await restorations(third)).toHaveLength(1);
    expect(await rejectionCode(third.readEvent({ index: fresh ?? -1, reader: "test" }))).toBe("key-lost");
    await drill.stop();
    const report = await drill.fsck();
    expect(report.findings).toEqual([]);
    expect(report.counts).toMatchObject({ lost: 2, opened: report.size - 2 });
  });

  test("without the note of its restoration it is an older copy, and nothing is taken", async () => {
    const drill = new Drill(await createSite({ storage: createMemoryStorage() }));
    const log = await drill.start();
    await append(log, by("old", 1));
    const from = await drill.backUp();
    await append(log, by("new", 2));
    await drill.stop();
    await drill.loseAndRestore(from);
    await (await readRestorationNote(drill.path))?.noted();
    expect(await rejectionCode(drill.start())).toBe("log-corrupt");
  });

  test("whose newest backup has every key, the log notes that nothing was lost", async () => {
    const drill = new Drill(await createSite({ storage: createMemoryStorage() }));
    const log = await drill.start();
    await append(log, by("old", 1));
    const from = await drill.backUp();
    await drill.stop();
    await drill.loseAndRestore(from);
    const again = await drill.start();
    await until(() => again.size() > 1);
    const [told] = await restorations(again);
    expect(told?.context).toMatchObject({ change: "restored", lost: [], count: 0 });
    expect(await readRestorationNote(drill.path)).toBeUndefined();
  });

  test("that was made before the log had any entry loses all, by name, and the log goes on", async () => {
    const drill = new Drill(await createSite({ storage: createMemoryStorage() }));
    await drill.start();
    const from = await drill.backUp();
    await drill.stop();
    const log = await drill.start();
    await append(log, by("old", 1), by("old", 2));
    await drill.stop();
    await drill.loseAndRestore(from);
    const again = await drill.start();
    await until(() => again.size() > 2);
    const [told] = await restorations(again);
    expect(told && lostRangesOf(told)).toEqual([{ first: 0, last: 1 }]);
    const [index] = await append(again, by("old", 3));
    expect(await idOfActor(again, index ?? -1)).toBe("old");
  });
});

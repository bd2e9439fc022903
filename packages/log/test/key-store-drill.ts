/** A log over a key store in files with backups, which can be lost and restored: for drills. */
import { renameSync } from "node:fs";
import { join } from "node:path";
import { type KeyStore, KeyBackups, openKeyStore, readRestorationNote, restoreKeyStore } from "@tallystick/storage";
import { onTestFinished } from "vitest";
import { temporaryFolder } from "../../../test/support/temporary-folder.ts";
import { type Log, fsckLog, openLog } from "../src/index.ts";
import { ORIGIN, type Site, until } from "./site.ts";

const masterKey = new Uint8Array(32).fill(5);

export class KeyStoreDrill {
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

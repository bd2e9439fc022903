/** A stopped log of a few thousand events in a server's folder, its state of the day before, and damage done to copies of it. */
import { randomBytes } from "node:crypto";
import { cp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { newEventId, parseEvent } from "@tallystick/events";
import { createToken, initServer, layoutOf, serveLogs } from "@tallystick/server";
import { removeFolder, temporaryFolder } from "../support/processes.ts";
import type { Inspection, Noticer, Step } from "./inspection.ts";
import { Inspector } from "./inspector.ts";
import { readFilesInUse } from "./level-manifest.ts";
import { WorkingCopy, filesIn } from "./working-copy.ts";

export const NAME = "app";
const BATCH_EVENTS = 100;

export type Damage =
  | { readonly kind: "bit"; readonly bit: number }
  | { readonly kind: "removed" }
  /** To so many bytes. */
  | { readonly kind: "truncated"; readonly bytes: number }
  /** Replaced by what it was the day before. */
  | { readonly kind: "older" };

export interface LogFile {
  readonly path: string;
  readonly bytes: number;
  /** Whether anything of the log is in it. */
  readonly isRead: boolean;
}

/** What LevelDB tells of itself, and what holds the locks. */
const UNREAD = /\/(LOG|LOG\.old|LOCK)$|(^|\/)lock\//;
const LEVEL_FOLDER = `data/${NAME}/leveldb`;

export interface Outcome {
  readonly file: LogFile;
  readonly damage: Damage;
  /** Who noticed; `nobody` where the folder says what it said before, `unnoticed` where it says something else. */
  readonly by: Noticer | "nobody" | "unnoticed";
  readonly code: string;
  readonly message: string;
}

export class DamagedLog {
  readonly #folder: string;
  readonly #inspector = new Inspector();
  readonly #size: number;
  readonly #copy: WorkingCopy;
  /** What the folder says before any damage, by the steps of the inspection. */
  readonly #whole = new Map<string, Inspection["picture"]>();

  private constructor(folder: string, size: number) {
    this.#folder = folder;
    this.#size = size;
    this.#copy = new WorkingCopy(join(folder, "today"), join(folder, "copy"));
  }

  /** Makes the log: most of it in table files, the end in the write-ahead log. */
  static async create(events: number): Promise<DamagedLog> {
    const folder = await temporaryFolder();
    const dir = join(folder, "today");
    await initServer({ dir, name: NAME, origin: "log.example/damaged", port: 0 });
    await fill(dir, Math.floor(events / 2));
    await cp(dir, join(folder, "yesterday"), { recursive: true });
    await createToken(layoutOf(dir).tokens, { log: NAME, role: "auditor" });
    await fill(dir, Math.floor(events / 4));
    return new DamagedLog(folder, await fill(dir, Math.ceil(events / 4)));
  }

  /**
   * All files of the folder, by their path within it. A process may end before LevelDB has removed the tables that it has
   * replaced: nothing reads these any more.
   */
  async files(): Promise<readonly LogFile[]> {
    const dir = join(this.#folder, "today");
    const inUse = await readFilesInUse(join(dir, LEVEL_FOLDER));
    return Promise.all(
      filesIn(dir).map(async (path) => {
        const isObsolete = dirname(path) === LEVEL_FOLDER && !inUse.has(basename(path));
        return { path, bytes: (await stat(join(dir, path))).size, isRead: !UNREAD.test(path) && !isObsolete };
      }),
    );
  }

  /** Whether the file was another one the day before. */
  async hasOlder({ path }: LogFile): Promise<boolean> {
    const [today, yesterday] = await Promise.all(
      ["today", "yesterday"].map(async (day) => readFile(join(this.#folder, day, path)).catch(() => undefined)),
    );
    return yesterday !== undefined && today?.equals(yesterday) === false;
  }

  /** Does the damage to a copy, and tells who noticed. Where LevelDB ended the process, the next start has to. */
  async try(file: LogFile, damage: Damage): Promise<Outcome> {
    const { path } = file;
    // What fsck reads beyond what a start reads is in the database.
    const steps: readonly Step[] = path.includes("/leveldb/") ? ["start", "fsck"] : ["start"];
    const whole = await this.#wholeAt(steps);
    const damageCopy = async (): Promise<void> => this.#damage(path, damage);
    const first = await this.#inspect(damageCopy, steps);
    // What was written over since may be gone when the log has run: fsck is asked before it.
    const unseen = first.noticed === undefined && steps.includes("fsck");
    const noticed = first.noticed ?? (unseen ? (await this.#inspect(damageCopy, ["fsck"])).noticed : undefined);
    const { picture } = first;
    if (noticed !== undefined) return { file, damage, ...noticed };
    const changed = Object.keys(whole).filter((part) => picture[part] !== whole[part]);
    if (changed.length === 0) return { file, damage, by: "nobody", code: "", message: "" };
    return { file, damage, by: "unnoticed", code: "", message: `changed: ${changed.join(", ")}` };
  }

  async #wholeAt(steps: readonly Step[]): Promise<Inspection["picture"]> {
    const known = this.#whole.get(steps.join());
    if (known !== undefined) return known;
    const { noticed, picture } = await this.#inspect(async () => undefined, steps);
    if (noticed !== undefined) throw new Error(`the log is not whole: ${noticed.message}`);
    this.#whole.set(steps.join(), picture);
    return picture;
  }

  async close(): Promise<void> {
    await this.#inspector.close();
    await removeFolder(this.#folder);
  }

  async #inspect(damage: () => Promise<void>, steps: readonly Step[]): Promise<Inspection> {
    this.#copy.restore();
    await damage();
    const order = { dir: this.#copy.dir, size: this.#size, name: NAME, steps };
    const inspection = await this.#inspector.inspect(order);
    // One that was ended because it hung is no good end.
    if (inspection.noticed?.by !== "end" || inspection.noticed.code === "SIGKILL") return inspection;
    // The next start finds that the process before it did not end in order, and reads all tables first.
    const { noticed, picture } = await this.#inspector.inspect({ ...order, steps: ["start"] });
    return { picture, ...(noticed === undefined ? {} : { noticed: { ...noticed, by: "end" } }) };
  }

  async #damage(path: string, damage: Damage): Promise<void> {
    const from = join(this.#folder, damage.kind === "older" ? "yesterday" : "today", path);
    const file = join(this.#copy.dir, path);
    if (damage.kind === "removed") await rm(file);
    else await writeFile(file, damaged(await readFile(from), damage));
  }
}

function damaged(bytes: Buffer, damage: Damage): Buffer {
  if (damage.kind === "truncated") return bytes.subarray(0, damage.bytes);
  if (damage.kind !== "bit") return bytes;
  const at = Math.floor(damage.bit / 8);
  bytes[at] = (bytes[at] ?? 0) ^ (1 << (damage.bit % 8));
  return bytes;
}

/** Starts the log, logs events, stops it; gives its size. */
async function fill(dir: string, events: number): Promise<number> {
  const served = await serveLogs({ dir, port: 0 });
  try {
    const log = served.logs[0]?.log;
    if (log === undefined) throw new Error(`the log does not open: ${served.logs[0]?.failure?.message}`);
    while (log.status().state === "starting") await new Promise((resolve) => setTimeout(resolve, 1));
    for (let done = 0; done < events; done += BATCH_EVENTS) {
      const count = Math.min(BATCH_EVENTS, events - done);
      await log.appendEvents({ writer: "w", events: Array.from({ length: count }, (_, n) => login(done + n)) });
    }
    while (log.publishedSize() < log.size()) await new Promise((resolve) => setTimeout(resolve, 2));
    return log.size();
  } finally {
    await served.close();
  }
}

function login(n: number): ReturnType<typeof parseEvent> {
  const time = Date.now();
  const id = newEventId(time, new Uint8Array(randomBytes(16)));
  const actor = { type: "user", id: `user ${n % 40}` };
  return parseEvent({ id, time, type: "auth.login", outcome: "success", actor, tenant: `t${n % 3}` });
}

/**
 * What a log keeps, on a host that can die: the storage port over a store in memory, with the waits of a disk.
 *
 * Writes land one after the other. When the host dies some of those that are under way have landed, the first ones, each
 * of them whole; what had resolved is there.
 */
import {
  type Commit,
  type LogStorage,
  type Row,
  type StorageDamage,
  StorageError,
  type StoredRow,
  createMemoryStorage,
} from "@tallystick/storage";
import type { Host } from "./host.ts";
import type { Random } from "./random.ts";
import { currentLife } from "./world.ts";

export interface StorageWatch {
  /** Told of each commit as it lands. */
  readonly onCommit: (commit: Commit) => void;
}

interface Write {
  readonly land: () => Promise<void>;
}

/** What there is of a log on its host's disk. */
export class LogDisk {
  readonly #host: Host;
  readonly #random: Random;
  readonly #watch: StorageWatch;
  readonly #store: LogStorage = createMemoryStorage();
  /** In the order of the calls. */
  #underWay: Write[] = [];
  /** When the last of them lands. */
  #readyMs = 0;
  /** When the last commit that has landed is whole: what marks it is written one after the other. */
  #wholeMs = 0;
  /** A fault for the invariants to find: a commit resolves before it has landed. */
  isHasty = false;

  constructor(host: Host, watch: StorageWatch) {
    this.#host = host;
    this.#random = host.world.random(`storage ${host.name}`);
    this.#watch = watch;
  }

  get writes(): number {
    return this.#underWay.length;
  }

  /** For the life that opens it. */
  open(): LogStorage {
    return new OpenStorage(this);
  }

  /** The host died. */
  settle(): void {
    const landed = this.isHasty ? 0 : this.#random.below(this.#underWay.length + 1);
    for (const { land } of this.#underWay.splice(0).slice(0, landed)) land().catch(() => undefined);
  }

  get store(): LogStorage {
    return this.#store;
  }

  async read<T>(get: () => Promise<T>): Promise<T> {
    if (this.#random.chance(0.1)) await this.#pause(0.02);
    return get();
  }

  async commit(commit: Commit, onWritten: () => void = () => undefined): Promise<void> {
    await this.#write(async () => {
      await this.#store.commit(commit);
      this.#tell(commit);
    });
    if (this.isHasty || commit.head.name !== "integrated") return;
    // It is there, and has to be marked. Before the one before it is, nobody goes on.
    if (this.#wholeMs > this.#host.world.nowMs) this.#host.world.count("commit beside a mark");
    await this.#until(this.#wholeMs, "written");
    this.#wholeMs = Math.max(this.#wholeMs, this.#host.world.nowMs) + this.#random.wait(0.3) * this.#host.disk.slowness;
    if (this.#random.chance(this.#host.disk.errorRate)) throw this.#failed();
    onWritten();
    await this.#until(this.#wholeMs, "marked");
    if (this.#random.chance(this.#host.disk.errorRate)) throw this.#failed();
  }

  #failed(): StorageError {
    this.#host.world.count("storage error");
    this.#host.disk.errors += 1;
    return unavailable();
  }

  #tell(commit: Commit): void {
    try {
      this.#watch.onCommit(commit);
    } catch (violation) {
      this.#host.world.fail(violation);
    }
  }

  async putRows(rows: readonly Row[]): Promise<void> {
    await this.#write(async () => this.#store.putRows(rows));
  }

  async #write(land: () => Promise<void>): Promise<void> {
    const life = currentLife();
    const { world, disk } = this.#host;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const fault = this.#random.chance(disk.errorRate) ? this.#random.pick(["before", "after"]) : "";
    const write: Write = { land };
    this.#underWay.push(write);
    const happen = (): void => {
      // Those before it have landed: each waits for the one before.
      this.#underWay = this.#underWay.filter((each) => each !== write);
      const error = fault === "" ? undefined : this.#failed();
      if (fault === "before") reject(error);
      else land().then(fault === "after" ? () => reject(error) : resolve, reject);
    };
    this.#readyMs = Math.max(this.#readyMs, world.nowMs) + this.#random.wait(0.5) * disk.slowness;
    world.schedule(this.#readyMs - world.nowMs, happen, { owner: life, what: "commit" });
    if (this.isHasty) resolve();
    await promise;
  }

  async #pause(typicalMs: number): Promise<void> {
    await this.#until(this.#host.world.nowMs + this.#random.wait(typicalMs), "read");
  }

  /** What ends with the life that waits. */
  async #until(timeMs: number, what: string): Promise<void> {
    const owner = currentLife();
    const { world } = this.#host;
    await new Promise<void>((resolve) => world.schedule(Math.max(0, timeMs - world.nowMs), resolve, { owner, what }));
  }
}

/** One life's view: after a failure it answers nothing any more, as the port says. */
class OpenStorage implements LogStorage {
  readonly #disk: LogDisk;
  #isClosed = false;
  #hasFailed = false;

  constructor(disk: LogDisk) {
    this.#disk = disk;
  }

  readonly readHead: LogStorage["readHead"] = async (name) => this.#read(async (store) => store.readHead(name));
  readonly getRow: LogStorage["getRow"] = async (table, key) => this.#read(async (store) => store.getRow(table, key));
  readonly getRows: LogStorage["getRows"] = async (table, keys) =>
    this.#read(async (store) => store.getRows(table, keys));
  readonly getBlob: LogStorage["getBlob"] = async (key) => this.#read(async (store) => store.getBlob(key));
  readonly commit: LogStorage["commit"] = async (commit, onWritten) =>
    this.#write(async () => this.#disk.commit(commit, onWritten));
  readonly putRows: LogStorage["putRows"] = async (rows) => this.#write(async () => this.#disk.putRows(rows));
  readonly deleteBlobs: LogStorage["deleteBlobs"] = async (keys) =>
    this.#write(async () => this.#disk.store.deleteBlobs(keys));
  readonly deleteRows: LogStorage["deleteRows"] = async (table, keys) =>
    this.putRows(keys.map((key) => ({ table, key, value: null })));

  scanRows(...args: Parameters<LogStorage["scanRows"]>): AsyncIterable<StoredRow> {
    this.#assertAlive();
    return this.#disk.store.scanRows(...args);
  }

  listBlobs(prefix: string): AsyncIterable<string> {
    this.#assertAlive();
    return this.#disk.store.listBlobs(prefix);
  }

  async *findDamage(): AsyncGenerator<StorageDamage> {
    this.#assertAlive();
    yield* [];
  }

  async close(): Promise<void> {
    this.#isClosed = true;
  }

  async #read<T>(get: (store: LogStorage) => Promise<T>): Promise<T> {
    this.#assertAlive();
    return this.#disk.read(async () => get(this.#disk.store));
  }

  async #write<T>(land: () => Promise<T>): Promise<T> {
    this.#assertAlive();
    try {
      const landed = await land();
      // What was asked for before that is known no better.
      if (this.#hasFailed) throw unavailable();
      return landed;
    } catch (error) {
      if (!(error instanceof StorageError) || error.code !== "head-conflict") this.#hasFailed = true;
      throw error;
    }
  }

  #assertAlive(): void {
    if (this.#isClosed || this.#hasFailed) throw unavailable();
  }
}

function unavailable(): StorageError {
  return new StorageError("storage-unavailable", "the disk failed");
}

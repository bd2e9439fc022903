/** Storage and file system in which one write, counted over all of them, goes wrong. */
import { setTimeout as sleep } from "node:timers/promises";
import { type FileSystem, type LogStorage, StorageError, nodeFileSystem } from "@tallystick/storage";

/** `torn`: half of it landed. `late` goes wrong by its delay only. */
export const FAULTS = ["before", "after", "torn", "late"] as const;
export type Fault = (typeof FAULTS)[number];

const LATE_MS = 20;

/** The write that goes wrong; none where `at` is not reached. */
export class FaultPlan {
  readonly fault: Fault;
  readonly #at: number;
  readonly #dies: boolean;
  /** Writes so far. */
  count = 0;

  /** @param dies - Nothing lands after it, as if the process had ended there. */
  constructor(fault: Fault, at: number, { dies = false }: { readonly dies?: boolean } = {}) {
    this.fault = fault;
    this.#at = at;
    this.#dies = dies;
  }

  get isOver(): boolean {
    return this.count > this.#at;
  }

  /** Does a write, or what is left of it. @param tear - Lets half of it land. */
  async run<T>(write: () => Promise<T>, tear: () => Promise<unknown> = write): Promise<T> {
    this.count += 1;
    if (this.count - 1 > this.#at && this.#dies) throw injected();
    if (this.count - 1 !== this.#at) return write();
    if (this.fault === "late") await sleep(LATE_MS);
    if (this.fault === "late") return write();
    if (this.fault === "after") await write();
    if (this.fault === "torn") await tear();
    throw injected();
  }
}

function injected(): Error {
  return Object.assign(new Error("EIO: injected"), { code: "EIO" });
}

export function faultyFileSystem(plan: FaultPlan): FileSystem {
  const { write, sync, truncate, link, rename, unlink } = nodeFileSystem;
  return {
    ...nodeFileSystem,
    write: async (file, bytes, position) =>
      plan.run(
        async () => write(file, bytes, position),
        async () => write(file, bytes.subarray(0, Math.floor(bytes.length / 2)), position),
      ),
    // Whatever is not a write has no half.
    sync: async (file) => plan.run(async () => sync(file)),
    truncate: async (file, size) => plan.run(async () => truncate(file, size)),
    link: async (existing, path) => plan.run(async () => link(existing, path)),
    rename: async (from, to) => plan.run(async () => rename(from, to)),
    unlink: async (path) => plan.run(async () => unlink(path)),
  };
}

/** After the fault it answers nothing any more, as the port says. A torn commit lands its blobs; torn rows the first half. */
export function faultyStorage(inner: LogStorage, plan: FaultPlan): LogStorage {
  let failure: unknown;
  const run = async <T>(write: () => Promise<T>, tear?: () => Promise<unknown>): Promise<T> => {
    try {
      return await plan.run(write, tear);
    } catch (cause) {
      if (cause instanceof StorageError) throw cause;
      failure = new StorageError("storage-unavailable", "the disk does not answer", { cause });
      throw failure;
    }
  };
  const faulty: Pick<LogStorage, "commit" | "putRows" | "deleteRows"> = {
    commit: async (commit) =>
      run(
        async () => inner.commit(commit),
        async () => undefined,
      ),
    putRows: async (rows) =>
      run(
        async () => inner.putRows(rows),
        async () => inner.putRows(rows.slice(0, Math.floor(rows.length / 2))),
      ),
    deleteRows: async (table, keys) => run(async () => inner.deleteRows(table, keys)),
  };
  return new Proxy(inner, {
    get(target, name) {
      if (name === "close") return async () => target.close();
      if (failure !== undefined) {
        return () => {
          throw failure;
        };
      }
      const value: unknown = Reflect.get(faulty, name) ?? Reflect.get(target, name);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

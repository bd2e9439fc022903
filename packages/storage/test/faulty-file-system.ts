/** The machine's file system, in which one call of one kind can be made to fail. */
import { type FileSystem, nodeFileSystem } from "../src/file-system.ts";

export interface Fault {
  readonly call: keyof FileSystem;
  /** Fails the call after so many of its kind that succeed. Default 0. */
  readonly after?: number;
  /** Default "before": nothing of the call happens. */
  readonly when?: "before" | "after";
  /** Default EIO. */
  readonly code?: string;
}

export interface FaultyFileSystem extends FileSystem {
  /** The calls made so far. */
  readonly calls: (keyof FileSystem)[];
  fault: Fault | undefined;
}

export function createFaultyFileSystem(): FaultyFileSystem {
  const calls: (keyof FileSystem)[] = [];
  let passed = 0;
  let fault: Fault | undefined;

  function failing<A extends unknown[], R>(call: keyof FileSystem, run: (...args: A) => Promise<R>) {
    return async (...args: A): Promise<R> => {
      calls.push(call);
      if (fault?.call !== call || passed++ < (fault.after ?? 0)) return run(...args);
      const { when = "before", code = "EIO" } = fault;
      if (when === "after") await run(...args);
      throw Object.assign(new Error(`${code}: injected, ${call}`), { code });
    };
  }

  return {
    calls,
    get fault() {
      return fault;
    },
    set fault(next) {
      fault = next;
      passed = 0;
    },
    open: failing("open", nodeFileSystem.open),
    write: failing("write", nodeFileSystem.write),
    truncate: failing("truncate", nodeFileSystem.truncate),
    sync: failing("sync", nodeFileSystem.sync),
    close: failing("close", nodeFileSystem.close),
    link: failing("link", nodeFileSystem.link),
    rename: failing("rename", nodeFileSystem.rename),
    unlink: failing("unlink", nodeFileSystem.unlink),
    makeFolder: failing("makeFolder", nodeFileSystem.makeFolder),
  };
}

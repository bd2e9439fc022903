/**
 * A slower disk than there is: strace lets every call that waits for the disk return so much later, in whatever thread
 * makes it. That is what LevelDB, Node and Go all sync by: fsync, fdatasync, and pwrite64 to files opened with O_DSYNC.
 * A few other calls of pwrite64 (a key of a new person, a new head) are slowed too, which counts against us. Calls
 * beside these do not stop. strace(1), "--inject"
 */
import { spawnSync } from "node:child_process";

const CALLS = "fsync,fdatasync,pwrite64";

/** The words to put before a command line, so that its own process keeps the number of the child. */
export function slowerSync(delayMs: number): readonly string[] {
  if (delayMs === 0) return [];
  if (spawnSync("strace", ["-V"]).status !== 0) throw new Error("a slower sync needs strace on the PATH");
  const inject = `inject=${CALLS}:delay_exit=${Math.round(delayMs * 1000)}`;
  return ["strace", "-D", "-f", "--seccomp-bpf", "-qqq", "-o", "/dev/null", "-e", `trace=${CALLS}`, "-e", inject];
}

/** How V8 keeps the heap of a server, and what its own threads may take of the processor. */
import { readFileSync, readdirSync } from "node:fs";
import { getPriority, setPriority } from "node:os";
import { setFlagsFromString } from "node:v8";

/**
 * By how many percent of what lived after the last collection the heap may grow until the next. Left alone, V8 lets a small
 * heap grow to four times that before it looks at the old part of it again, and buffers that died there hold as much
 * memory outside. Measured under full load: 361 MiB resident beside mapped files in place of 425 to 490. With 60, where
 * that was 352, nearly every collection of the young brought one of all, for a fifth of the CPU time.
 */
const HEAP_GROWING_PERCENT = 125;

/** For processes that run for long; to be called before there is work. */
export function tuneV8(): void {
  tuneHeap();
  calmHelpers();
}

/**
 * Without allocation-site pretenuring: what was under way at a collection or two in the first seconds teaches V8 that things
 * made there live long, and it makes them where they are found dead only with the whole heap, together with all that
 * they refer to. Measured under full load: collections of 2 to 8 ms in place of 15 to 40, and none of the whole
 * heap where there were two a second.
 */
function tuneHeap(): void {
  setFlagsFromString(`--heap-growing-percent=${HEAP_GROWING_PERCENT}`);
  setFlagsFromString("--no-allocation-site-pretenuring");
}

/** By how much they give way, as of setpriority(2), and the most that there is. */
const HELPER_NICENESS = 4;
const NICENESS_MAX = 19;
const HELPER_NAME = "V8Worker";

/**
 * Has V8's helping threads, which compile and collect, give way to the thread that answers and those that write: with few
 * cores four of them come in the way for tenths of a second. docs/decisions/0066-what-a-commit-waits-for.md
 *
 * A little only: a collection that stops the answering thread waits for its helpers. Only Linux has threads with a
 * priority of their own, and only from Node 24 on do they have names. Where it cannot be done nothing is worse than before.
 */
function calmHelpers(): void {
  if (process.platform !== "linux") return;
  const threads = "/proc/self/task";
  const niceness = Math.min(NICENESS_MAX, getPriority() + HELPER_NICENESS);
  try {
    for (const thread of readdirSync(threads)) {
      if (readFileSync(`${threads}/${thread}/comm`, "utf8").trim() === HELPER_NAME)
        setPriority(Number(thread), niceness);
    }
  } catch {
    // A thread that ended meanwhile, or a /proc that is not there.
  }
}

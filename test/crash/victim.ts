/** A process that is killed again and again, and started again each time. */
import type { ChildProcess } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import type { Random } from "../simulation/engine/random.ts";
import { exitOf } from "../support/processes.ts";

export interface Victim {
  readonly name: string;
  /** Starts the process. */
  readonly start: () => ChildProcess;
  /** Called when the process has said its first line, each time. */
  readonly onReady: (line: string) => Promise<void>;
  /** Every line behind the first. */
  readonly onLine?: (line: string) => void;
  /** What it complains of. */
  readonly onComplaint?: (text: string) => void;
}

export interface KillOptions {
  /** Gives whether there is another kill to be done, and counts it. */
  readonly next: () => boolean;
  readonly random: Random;
  /** Resolves when the others have come as far: it works on until then. */
  readonly turn: () => Promise<void>;
  /** Told of each process: whoever gives up on this ends it. */
  readonly onRun: (running: Running) => void;
}

/** How long a process lives at most once it is ready and its turn has come. */
const LIFE_MS = 300;
/** One in so many dies while it starts, within so long. */
const EARLY_ONE_IN = 5;
const START_MS = 800;

/** Characters of what it complained of, for the message. */
export const COMPLAINT_MAX = 4000;

/** Starts the process and kills it at a random moment, until there are no more kills; leaves it running. */
export async function killAgainAndAgain(victim: Victim, { next, random, turn, onRun }: KillOptions): Promise<void> {
  for (;;) {
    const running = run(victim);
    onRun(running);
    if (!next()) return running.ready;
    if (random.below(EARLY_ONE_IN) === 0) {
      await Promise.race([sleep(random.below(START_MS)), running.ready]);
    } else {
      await running.ready;
      await turn();
      await sleep(random.below(LIFE_MS));
    }
    await running.kill();
  }
}

export interface Running {
  /** Rejects where it ended by itself. */
  readonly ready: Promise<void>;
  kill(): Promise<void>;
  /** Ends it in order; gives its exit code. */
  stop(): Promise<number | null>;
}

export function run({ name, start, onReady, onLine, onComplaint }: Victim): Running {
  const child = start();
  let isKilled = false;
  let [out, err, isReady] = ["", "", false];
  child.stderr?.on("data", (part: Buffer) => {
    err = (err + part.toString()).slice(-COMPLAINT_MAX);
    onComplaint?.(part.toString());
  });
  const ready = new Promise<void>((resolve, reject) => {
    child.stdout?.on("data", (part: Buffer) => {
      out += part.toString();
      const lines = out.split("\n");
      out = lines.pop() ?? "";
      for (const line of lines) {
        if (isReady) onLine?.(line);
        else onReady(line).then(resolve, reject);
        isReady = true;
      }
    });
    child.once("close", (code) => {
      if (isKilled) resolve();
      else reject(new Error(`${name} ended with ${code}: ${err}`));
    });
  });
  // Whoever waits for it hears of it; nobody may be waiting yet.
  ready.catch(() => undefined);
  const kill = async (signal: "SIGKILL" | "SIGTERM"): Promise<number | null> => {
    isKilled = true;
    child.kill(signal);
    return exitOf(child);
  };
  return {
    ready,
    kill: async () => {
      await kill("SIGKILL");
      await ready;
    },
    stop: async () => kill("SIGTERM"),
  };
}

/** A log that Tessera's POSIX storage writes, in a process of its own, served by Go's file server. */
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { encodeBase64 } from "@tallystick/core";
import { exitOf } from "../support/processes.ts";

export interface TesseraLog {
  readonly url: string;
  /** Appends entries, and waits until all of them are published. */
  publish(entries: readonly Uint8Array[]): Promise<TesseraPublished>;
  /** What it wrote to its error output. */
  complaints(): string;
  /** Ends it in order; gives the exit code. */
  stop(): Promise<number | null>;
  kill(): void;
}

export interface TesseraPublished {
  /** The index of the first of them. */
  readonly first: number;
  /** The signed note. */
  readonly checkpoint: string;
  /** The witnesses whose cosignatures Tessera's own verifier accepts. */
  readonly cosigners: readonly string[];
}

export interface TesseraLogOptions {
  /** The binary of go/tessera/appender. */
  readonly binary: string;
  readonly folder: string;
  /** As x/mod's note package writes it. */
  readonly privateKey: string;
  readonly policyPath?: string;
}

export async function startTesseraLog(options: TesseraLogOptions): Promise<TesseraLog> {
  const { binary, folder, privateKey, policyPath } = options;
  const flags = ["-folder", folder, ...(policyPath === undefined ? [] : ["-policy", policyPath])];
  const child = spawn(binary, flags, { env: { ...process.env, LOG_PRIVATE_KEY: privateKey } });
  let complaints = "";
  child.stderr.on("data", (part: Buffer) => (complaints += part.toString()));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const nextLine = async (): Promise<string> => {
    const { done, value } = await lines.next();
    if (done !== true) return value;
    throw new Error(`the Tessera log ended: ${complaints}`);
  };
  return {
    url: await nextLine(),
    publish: async (entries) => {
      child.stdin.write(`${entries.map(encodeBase64).join("\n")}\n\n`);
      return JSON.parse(await nextLine()) as TesseraPublished;
    },
    complaints: () => complaints,
    kill: () => child.kill("SIGKILL"),
    stop: async () => {
      child.stdin.end();
      return exitOf(child);
    },
  };
}

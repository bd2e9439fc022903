/** What the SDK needs of Node, Bun or Deno: a disk, the environment, warnings, TLS of one's own. */
import { readFile, writeFile } from "node:fs/promises";
import { readOrCreateSecret } from "./outbox-folder.ts";

export { type HttpsFetchOptions, createHttpsFetch } from "./https-fetch.ts";
export { openOutboxFolder } from "./outbox-folder.ts";

export const HAS_DISK: boolean = true;

/** A variable of the environment. */
export function variable(name: string): string | undefined {
  return process.env[name];
}

export async function readText(path: string): Promise<string> {
  return readFile(path, "utf8");
}

export async function writeText(path: string, text: string): Promise<void> {
  await writeFile(path, text);
}

/** The seed in a file, which is made where there is none. */
export async function readSeed(path: string): Promise<Uint8Array> {
  return readOrCreateSecret(path);
}

/** Says something to whoever runs the process. */
export function warn(message: string, code: string): void {
  process.emitWarning(message, { type: "TallystickWarning", code });
}

/** What the SDK needs of a platform that has `fetch` and no disk: an edge runtime, a worker, a page. */
import type { Fetch } from "./http.ts";
import type { HttpsFetchOptions } from "./https-fetch.ts";
import type { OpenedOutbox, OutboxOptions } from "./opened-outbox.ts";

export type { HttpsFetchOptions } from "./https-fetch.ts";

export const HAS_DISK: boolean = false;

/** A variable of the environment, where the platform has one. */
export function variable(name: string): string | undefined {
  const { process } = globalThis as { readonly process?: { readonly env?: Readonly<Record<string, string>> } };
  return process?.env?.[name];
}

export async function readText(path: string): Promise<string> {
  throw withoutDisk(`${path}: expected the text itself`);
}

export async function writeText(path: string): Promise<void> {
  throw withoutDisk(`${path}: cannot be written`);
}

export async function readSeed(path: string): Promise<Uint8Array> {
  throw withoutDisk(`senderKey: expected 32 bytes, got the path ${path}`);
}

export async function openOutboxFolder(folder: string, _options: OutboxOptions): Promise<OpenedOutbox> {
  throw withoutDisk(`outbox: expected "none", got ${folder}`);
}

export function createHttpsFetch(_options: HttpsFetchOptions): Fetch {
  throw new TypeError("createHttpsFetch: this platform has no TLS of one's own: expected its own fetch");
}

export function warn(message: string, code: string): void {
  // oxlint-disable-next-line no-console -- the only place where the platform shows anything
  console.warn(`[${code}] TallystickWarning: ${message}`);
}

function withoutDisk(what: string): TypeError {
  return new TypeError(`${what}: there is no disk on this platform`);
}

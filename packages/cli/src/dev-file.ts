/** `.tallystick/dev.json`: what `tallystick dev` made, so that the other commands need no options in its folder. */
import { join } from "node:path";
import { parseJson } from "@tallystick/events";
import { parseFile, readBounded } from "./bounded-file.ts";
import { startLine } from "./command-line.ts";
import { UsageError } from "./command.ts";

export const DEV_FOLDER = ".tallystick";

export interface DevFile {
  readonly log: {
    /** Without a slash at the end. */
    readonly url: string;
    readonly origin: string;
    /** The Ed25519 one first. */
    readonly vkeys: readonly string[];
    readonly tokens: {
      readonly writer: string;
      readonly auditor: string;
      readonly operator: string;
      /** Earlier versions made none. */
      readonly officer?: string;
    };
  };
  readonly witnesses: readonly { readonly name: string; readonly url: string; readonly vkeys: readonly string[] }[];
  /** The path of the policy file. */
  readonly policy: string;
}

/** It has some 20 kB, for the most part post-quantum keys. */
const DEV_FILE_BYTES_MAX = 1024 * 1024;

/**
 * The file in this folder; `undefined` where there is none.
 *
 * @throws {UsageError} It is not as `dev` writes it.
 */
export async function readDevFile(folder: string = process.cwd()): Promise<DevFile | undefined> {
  const path = join(folder, DEV_FOLDER, "dev.json");
  try {
    const value = parseFile(path, await readBounded(path, DEV_FILE_BYTES_MAX), parseJson);
    if (isDevFile(value)) return value;
  } catch (error) {
    if (!(error instanceof Error) || !("code" in error)) throw error;
    if (error.code === "ENOENT") return undefined;
    if ("path" in error) throw error;
  }
  throw new UsageError(`${path}: expected what tallystick dev writes; remove it, and ${startLine()} makes it anew`);
}

function isDevFile(value: unknown): value is DevFile {
  const { log, witnesses, policy } = membersOf(value);
  const { url, origin, vkeys, tokens } = membersOf(log);
  const { writer, auditor, operator, officer = "" } = membersOf(tokens);
  const known = Array.isArray(witnesses) && witnesses.every(isWitness);
  return known && isText(origin, policy, writer, auditor, operator, officer) && areTexts(vkeys) && isLocal(url);
}

function isWitness(value: unknown): boolean {
  const { name, url, vkeys } = membersOf(value);
  return isText(name) && isLocal(url) && areTexts(vkeys);
}

function membersOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}

function isText(...values: readonly unknown[]): boolean {
  return values.every((value) => typeof value === "string");
}

function areTexts(value: unknown): boolean {
  return Array.isArray(value) && isText(...(value as readonly unknown[]));
}

/**
 * `dev` serves this machine alone. Whoever gives away a folder must not be able to name another one in it, to which the
 * token of its next user would go.
 */
function isLocal(url: unknown): boolean {
  const { protocol, hostname, username, password } = (typeof url === "string" ? URL.parse(url) : null) ?? {};
  return protocol === "http:" && hostname === "127.0.0.1" && username === "" && password === "";
}

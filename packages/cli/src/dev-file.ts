/** `.tallystick/dev.json`: what `tallystick dev` made, so that the other commands need no options in its folder. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { UsageError } from "./command.ts";

export const DEV_FOLDER = ".tallystick";

export interface DevFile {
  readonly log: {
    /** Without a slash at the end. */
    readonly url: string;
    readonly origin: string;
    /** The Ed25519 one first. */
    readonly vkeys: readonly string[];
    readonly tokens: { readonly writer: string; readonly auditor: string; readonly operator: string };
  };
  readonly witnesses: readonly { readonly name: string; readonly url: string; readonly vkeys: readonly string[] }[];
  /** The path of the policy file. */
  readonly policy: string;
}

/** The file in this folder; `undefined` where there is none. */
export async function readDevFile(folder: string = process.cwd()): Promise<DevFile | undefined> {
  const path = join(folder, DEV_FOLDER, "dev.json");
  const text = await readFile(path, "utf8").catch((error: unknown) => {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw error;
  });
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text) as DevFile;
  } catch (cause) {
    throw new UsageError(`${path}: expected JSON; remove it and start tallystick dev again`, { cause });
  }
}

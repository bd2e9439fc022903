/** Keys of the server's own, each in a file that only its owner may read; made at the first start. */
import { randomBytes } from "node:crypto";
import { decodeHex } from "@tallystick/core";
import { readSecretFile, writeFileDurably } from "@tallystick/storage";
import { ServerError } from "./error.ts";

/**
 * The key in a file: 32 bytes as 64 hex digits. Makes it where there is no file.
 *
 * @throws {ServerError} `config-malformed` @throws {StorageError} `secret-file-exposed`, `storage-unavailable`
 */
export async function openSecretKey(path: string): Promise<Uint8Array> {
  const bytes = await readSecretFile(path).catch(async (error: unknown) => {
    if (!isAbsent(error)) throw error;
    const made = Buffer.from(`${randomBytes(32).toString("hex")}\n`);
    await writeFileDurably(path, made, { mode: 0o600 });
    return made;
  });
  const hex = Buffer.from(bytes).toString("utf8").trim();
  if (/^[0-9a-f]{64}$/.test(hex)) return decodeHex(hex);
  throw new ServerError("config-malformed", `${path}: expected 64 hex digits`);
}

function isAbsent(error: unknown): boolean {
  const cause = error instanceof Error ? error.cause : undefined;
  return cause instanceof Error && "code" in cause && cause.code === "ENOENT";
}

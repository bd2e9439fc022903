/** Files that others may have written: read as far as they may be large, and what is the matter with them named. */
import { open } from "node:fs/promises";
import { TallystickError, concatBytes, decodeUtf8 } from "@tallystick/core";

/** A file that is not what was expected. Codes are those of the operating system. */
export class FileError extends Error {
  override readonly name = "FileError";
  readonly code: "EFBIG";
  readonly path: string;

  constructor(code: "EFBIG", path: string, message: string) {
    super(`${path}: ${message}`);
    this.code = code;
    this.path = path;
  }
}

/**
 * Reads a whole file, or a pipe to its end.
 *
 * @throws {FileError} `EFBIG`: there are more than `bytesMax` bytes, of which no more are read.
 * @throws {Error} of the operating system, with `code` and `path`.
 */
export async function readBounded(path: string, bytesMax: number): Promise<Uint8Array> {
  const file = await open(path);
  try {
    return await readStream(file.createReadStream({ autoClose: false }), { path, bytesMax });
  } catch (error) {
    throw withPath(error, path);
  } finally {
    await file.close();
  }
}

/** The same of a stream; `path` is what its errors call it. */
export async function readStream(
  stream: AsyncIterable<Uint8Array>,
  { path, bytesMax }: { readonly path: string; readonly bytesMax: number },
): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let total = 0;
  for await (const part of stream) {
    total += part.length;
    if (total > bytesMax) throw new FileError("EFBIG", path, `expected at most ${bytesMax} bytes, got more`);
    parts.push(part);
  }
  return concatBytes(...parts);
}

/** The system names the path where a file is opened, and not where it is read. */
function withPath(error: unknown, path: string): unknown {
  return error instanceof Error && "code" in error && !("path" in error) ? Object.assign(error, { path }) : error;
}

/** As {@link readBounded}; what the system has to say of the file names `what` it is besides its path. */
export async function readNamed(what: string, path: string, bytesMax: number): Promise<Uint8Array> {
  try {
    return await readBounded(path, bytesMax);
  } catch (error) {
    if (error instanceof Error && "path" in error) Object.assign(error, { path: `${what}: ${path}` });
    throw error;
  }
}

/** @throws {TallystickError} as `parse` does, with the file before its words. */
export function parseFile<T>(path: string, bytes: Uint8Array, parse: (text: string) => T): T {
  return naming(path, () => parse(decodeUtf8(bytes)));
}

/** Puts the place before the words of whatever evidence `parse` refuses. */
export function naming<T>(place: string, parse: () => T): T {
  try {
    return parse();
  } catch (cause) {
    if (!(cause instanceof TallystickError)) throw cause;
    throw new TallystickError(cause.code, `${place}: ${cause.message}`, { cause, details: cause.details });
  }
}

/** A file to import: its lines, however large it is, and how far an earlier import got in it. */
import { type Hash, createHash } from "node:crypto";
import { closeSync, openSync, readSync } from "node:fs";
import { mkdir, readFile, realpath } from "node:fs/promises";
import { join } from "node:path";
import { utf8 } from "@tallystick/core";
import { writeFileDurably } from "@tallystick/storage/files";
import { DEV_FOLDER } from "./dev-file.ts";

const PART_BYTES = 1_048_576;
/** Of a longer line the rest is left out: an event keeps far less of it. */
const LINE_BYTES_MAX = 1_048_576;
const LINE_END = 10;
const BYTE_ORDER_MARK = "\uFEFF";

/**
 * The lines of a file, without their ends. Octets that are no UTF-8 become marks, and the line stays readable.
 *
 * @throws {Error} the file cannot be read.
 */
export function* readLines(path: string): Generator<string> {
  const file = openSync(path, "r");
  try {
    const part = Buffer.alloc(PART_BYTES);
    let rest = Buffer.alloc(0);
    let first = true;
    const textOf = (line: Buffer): string => {
      const text = line.subarray(0, LINE_BYTES_MAX).toString("utf8");
      const marked = first && text.startsWith(BYTE_ORDER_MARK);
      first = false;
      return marked ? text.slice(1) : text;
    };
    for (let read = readSync(file, part); read > 0; read = readSync(file, part)) {
      const bytes = Buffer.concat([rest, part.subarray(0, read)]);
      let start = 0;
      for (let end = bytes.indexOf(LINE_END); end !== -1; end = bytes.indexOf(LINE_END, start)) {
        yield textOf(bytes.subarray(start, end));
        start = end + 1;
      }
      rest = Buffer.from(bytes.subarray(start, start + LINE_BYTES_MAX));
    }
    if (rest.length > 0) yield textOf(rest);
  } finally {
    closeSync(file);
  }
}

/** A digest that grows line by line, and can be read off after each. */
export class LinesDigest {
  readonly #hash: Hash = createHash("sha256");

  add(line: string): void {
    this.#hash.update(line).update("\n");
  }

  hex(): string {
    return this.#hash.copy().digest("hex");
  }
}

export interface ImportProgress {
  /** The keys of the log that has them. */
  readonly log: string;
  /** Of the last of them in the log. */
  readonly lastIndex: number;
  /** How many lines are logged. */
  readonly lines: number;
  /** Of these lines: what was imported before is left out only while the file still begins with it. */
  readonly digest: string;
  readonly format: string;
  /** Inferred once: another year would make other events of the same lines. */
  readonly year: number | undefined;
  readonly utcOffsetMinutes: number;
}

/** Where the progress of this file into this log is kept. The folder is made. */
export async function progressPath(path: string, url: string): Promise<string> {
  const folder = join(process.cwd(), DEV_FOLDER, "imports");
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const name = createHash("sha256")
    .update(`${await realpath(path)}\n${url}`)
    .digest("hex");
  return join(folder, `${name.slice(0, 16)}.json`);
}

/** What was kept; `undefined` where there is nothing, or nothing that can be read: then all lines are sent again. */
export async function readProgress(path: string): Promise<ImportProgress | undefined> {
  const text = await readFile(path, "utf8").catch(() => "");
  try {
    const { log, lastIndex, lines, digest, format, year, utcOffsetMinutes } = JSON.parse(text) as ImportProgress;
    const known =
      typeof log === "string" &&
      Number.isSafeInteger(lastIndex) &&
      Number.isSafeInteger(lines) &&
      typeof digest === "string" &&
      Number.isInteger(utcOffsetMinutes);
    return known ? { log, lastIndex, lines, digest, format, year, utcOffsetMinutes } : undefined;
  } catch {
    return undefined;
  }
}

export async function writeProgress(path: string, progress: ImportProgress): Promise<void> {
  await writeFileDurably(path, utf8(`${JSON.stringify(progress)}\n`));
}

export interface Survey {
  readonly lines: number;
  /** The first line that is not blank. */
  readonly firstLine: string | undefined;
  /** Whether the file still begins with what was imported before. */
  readonly continues: boolean;
}

/** Reads the file once, before anything is sent. */
export function surveyFile(path: string, before: ImportProgress | undefined): Survey {
  const digest = new LinesDigest();
  let [lines, continues] = [0, false];
  let firstLine: string | undefined;
  for (const line of readLines(path)) {
    lines += 1;
    if (firstLine === undefined && line.trim() !== "") firstLine = line;
    if (before === undefined || lines > before.lines) continue;
    digest.add(line);
    continues = lines === before.lines && digest.hex() === before.digest;
  }
  return { lines, firstLine, continues };
}

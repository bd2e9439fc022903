/**
 * Which files of a LevelDB folder are in use: LevelDB opens those that its MANIFEST names, and removes all others at its
 * next start. github.com/google/leveldb doc/log_format.md, db/version_edit.cc
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";

/** The files that a start reads, by their names: CURRENT, the MANIFEST, its tables, the write-ahead log. */
export async function readFilesInUse(folder: string): Promise<ReadonlySet<string>> {
  const manifest = (await readFile(join(folder, "CURRENT"), "utf8")).trimEnd();
  const names = new Set(["CURRENT", manifest]);
  const tables = new Set<number>();
  let logNumber = 0;
  for (const edit of editsOf(await readFile(join(folder, manifest)))) {
    logNumber = edit.logNumber ?? logNumber;
    for (const number of edit.removed) tables.delete(number);
    for (const number of edit.added) tables.add(number);
  }
  for (const number of tables) names.add(fileName(number, "ldb"));
  return names.add(fileName(logNumber, "log"));
}

export function fileName(number: number, kind: "ldb" | "log"): string {
  return `${String(number).padStart(6, "0")}.${kind}`;
}

interface Edit {
  readonly added: readonly number[];
  readonly removed: readonly number[];
  readonly logNumber: number | undefined;
}

const BLOCK_BYTES = 32_768;
/** Checksum (4), length (2), kind (1). */
const HEADER_BYTES = 7;
const KIND = { full: 1, last: 4 } as const;

/** What the records of a log say, each put together from its parts. */
function* editsOf(log: Buffer): Generator<Edit> {
  let parts: Buffer[] = [];
  for (let at = 0; at + HEADER_BYTES <= log.length;) {
    const rest = BLOCK_BYTES - (at % BLOCK_BYTES);
    if (rest < HEADER_BYTES) {
      at += rest;
      continue;
    }
    const [end, kind] = [at + HEADER_BYTES + log.readUInt16LE(at + 4), log.readUInt8(at + 6)];
    parts.push(log.subarray(at + HEADER_BYTES, end));
    if (kind === KIND.full || kind === KIND.last) {
      yield decodeEdit(Buffer.concat(parts));
      parts = [];
    }
    at = end;
  }
}

const TAG = {
  comparator: 1,
  logNumber: 2,
  nextFile: 3,
  lastSequence: 4,
  compactPointer: 5,
  removed: 6,
  added: 7,
  previousLog: 9,
} as const;

function decodeEdit(record: Buffer): Edit {
  const [added, removed]: [number[], number[]] = [[], []];
  let logNumber: number | undefined;
  const fields = new Fields(record);
  while (!fields.isDone) {
    const tag = fields.number();
    if (tag === TAG.comparator) fields.skipText();
    else if (tag === TAG.logNumber) logNumber = fields.number();
    else if (tag === TAG.nextFile || tag === TAG.lastSequence || tag === TAG.previousLog) fields.number();
    else if (tag === TAG.compactPointer) {
      fields.number();
      fields.skipText();
    } else if (tag === TAG.removed) {
      fields.number();
      removed.push(fields.number());
    } else if (tag === TAG.added) {
      fields.number();
      added.push(fields.number());
      fields.number();
      fields.skipText();
      fields.skipText();
    } else throw new Error(`a MANIFEST with a field of kind ${tag}`);
  }
  return { added, removed, logNumber };
}

class Fields {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get isDone(): boolean {
    return this.#at >= this.#bytes.length;
  }

  /** Seven bits a byte, the lowest first. */
  number(): number {
    let value = 0;
    for (let place = 1; ; place *= 128) {
      const byte = this.#bytes.readUInt8(this.#at++);
      value += (byte % 128) * place;
      if (byte < 128) return value;
    }
  }

  skipText(): void {
    const bytes = this.number();
    this.#at += bytes;
  }
}

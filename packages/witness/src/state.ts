/**
 * What a witness must never forget: for each origin the newest checkpoint that it cosigned, and when.
 *
 * One file per origin, replaced whole and synced, and after it the origin's mark in the high-water file. Both are on disk
 * before anybody sees the cosignatures that they hold.
 */
import { existsSync } from "node:fs";
import { readFile, readdir } from "node:fs/promises";
import { join } from "node:path";
import {
  type Checkpoint,
  encodeHex,
  equalBytes,
  originHash,
  parseCheckpoint,
  parseNote,
  sha256,
  utf8,
} from "@tallystick/core";
import { type FileSystem, writeFileDurably } from "@tallystick/storage";
import { WitnessError, messageOf } from "./error.ts";
import { HighWaterFile, type Mark } from "./high-water.ts";

/** The state of one origin: replaced, never changed. */
export interface OriginState {
  readonly origin: string;
  /** How often it has been written, this time included. */
  readonly generation: number;
  /** Time of the newest cosignature, in seconds since 1970. */
  readonly time: bigint;
  /** The checkpoint with the verified signatures of the log and the cosignatures of this witness. */
  readonly note: string;
  /** As parsed from `note`. */
  readonly checkpoint: Checkpoint;
}

/** Keeps the states. Writes of different origins may run side by side, those of one must not. */
export interface StateStore {
  /** Hashes of all origins that have a state, whether configured or not. */
  readonly originHashes: readonly string[];

  /**
   * Reads the newest state of an origin, and completes a write that a crash or a fault had left half done.
   *
   * @throws {WitnessError} `state-rolled-back`, `state-corrupt`.
   * @throws {StorageError} the completion could not be written.
   */
  load(originHash: string): Promise<OriginState | undefined>;

  /**
   * Writes the next state of an origin. Durable when it resolves.
   *
   * Rejects where that is not known: the state is the old one or this one, and `load` tells.
   */
  save(state: OriginState): Promise<void>;

  close(): Promise<void>;
}

const FORMAT = "tallystick/witness-state@1";
const STATES_FOLDER = "state";
const HIGH_WATER_FILE = "high-water";
const FILE_NAME = /^(?<hash>[\da-f]{64})\.json$/;

/** Makes the folder of the states and their high-water file, where they are not there yet. Durable when it resolves. */
export async function createStateStore(dir: string, fileSystem: FileSystem): Promise<void> {
  await fileSystem.makeFolder(join(dir, STATES_FOLDER), 0o700);
  const path = join(dir, HIGH_WATER_FILE);
  if (!existsSync(path)) await HighWaterFile.create(path, fileSystem);
}

/**
 * Opens the states below `dir` and holds all of them against their marks.
 *
 * @throws {WitnessError} `state-rolled-back`: part of the folder is an older copy, or missing. `state-corrupt`: damaged.
 */
export async function openStateStore(dir: string, fileSystem: FileSystem): Promise<StateStore> {
  const marks = await HighWaterFile.open(join(dir, HIGH_WATER_FILE), fileSystem);
  const store = new FileStateStore(join(dir, STATES_FOLDER), fileSystem, marks);
  try {
    await store.loadAll();
  } catch (cause) {
    await store.close();
    throw cause;
  }
  return store;
}

class FileStateStore implements StateStore {
  readonly #folder: string;
  readonly #fileSystem: FileSystem;
  readonly #marks: HighWaterFile;

  constructor(folder: string, fileSystem: FileSystem, marks: HighWaterFile) {
    this.#folder = folder;
    this.#fileSystem = fileSystem;
    this.#marks = marks;
  }

  get originHashes(): readonly string[] {
    return this.#marks.origins;
  }

  async loadAll(): Promise<void> {
    const files = (await readdir(this.#folder)).flatMap((name) => FILE_NAME.exec(name)?.groups?.["hash"] ?? []);
    for (const hash of new Set([...files, ...this.#marks.origins])) await this.load(hash);
  }

  async load(hash: string): Promise<OriginState | undefined> {
    const path = this.#pathOf(hash);
    const bytes = await readIfThere(path);
    const mark = this.#marks.read(hash);
    if (bytes === undefined) {
      if (mark !== undefined) throw rolledBack(path, `it is missing, and was written ${mark.generation} times`);
      return undefined;
    }
    const state = decodeState(bytes, { path, hash });
    const digest = sha256(bytes);
    const marked = mark?.generation ?? 0;
    if (state.generation === marked + 1) {
      // We died, or failed, between the two writes. The state may be visible without being durable: write both again.
      await writeFileDurably(path, bytes, { fileSystem: this.#fileSystem });
      await this.#marks.write(hash, { generation: state.generation, digest });
      return state;
    }
    assertMarked({ path, state, digest, mark });
    return state;
  }

  async save(state: OriginState): Promise<void> {
    const bytes = encodeState(state);
    const hash = originHash(state.origin);
    await writeFileDurably(this.#pathOf(hash), bytes, { fileSystem: this.#fileSystem });
    await this.#marks.write(hash, { generation: state.generation, digest: sha256(bytes) });
  }

  async close(): Promise<void> {
    await this.#marks.close();
  }

  #pathOf(hash: string): string {
    return join(this.#folder, `${hash}.json`);
  }
}

interface MarkedState {
  readonly path: string;
  readonly state: OriginState;
  readonly digest: Uint8Array;
  readonly mark: Mark | undefined;
}

function assertMarked({ path, state, digest, mark }: MarkedState): void {
  const marked = mark?.generation ?? 0;
  if (state.generation !== marked) {
    throw rolledBack(
      path,
      `it was written ${state.generation} times, and the file ${HIGH_WATER_FILE} knows of ${marked}`,
    );
  }
  if (mark === undefined || !equalBytes(mark.digest, digest)) {
    throw rolledBack(path, `it is not the one that the file ${HIGH_WATER_FILE} knows of`);
  }
}

function rolledBack(path: string, what: string): WitnessError {
  const message =
    `${path}: ${what}, so part of the folder is an older copy; ` +
    "restore the newest copy of the whole folder, and if there is none, begin anew with new keys";
  return new WitnessError("state-rolled-back", message, { details: { path } });
}

/** One line of JSON, and the SHA-256 of that line in hex on the next. */
function encodeState({ origin, generation, time, note }: OriginState): Uint8Array {
  const line = `${JSON.stringify({ format: FORMAT, origin, generation, time: Number(time), note })}\n`;
  return utf8(`${line}${encodeHex(sha256(utf8(line)))}\n`);
}

function decodeState(bytes: Buffer, { path, hash }: { readonly path: string; readonly hash: string }): OriginState {
  const lineEnd = bytes.indexOf("\n") + 1;
  const line = bytes.subarray(0, lineEnd);
  if (bytes.subarray(lineEnd).toString("latin1") !== `${encodeHex(sha256(line))}\n`) {
    throw corrupt(path, "its checksum does not match");
  }
  try {
    return readState(JSON.parse(line.toString("utf8")) as StoredState, hash);
  } catch (cause) {
    throw corrupt(path, messageOf(cause), cause);
  }
}

interface StoredState {
  readonly format: string;
  readonly origin: string;
  readonly generation: number;
  readonly time: number;
  readonly note: string;
}

/** The checksum has matched, so the fields are what we wrote; what is left to check is whether the file is in its place. */
function readState({ format, origin, generation, time, note }: StoredState, hash: string): OriginState {
  if (format !== FORMAT) throw new Error(`its format is ${format}, expected ${FORMAT}`);
  const checkpoint = parseCheckpoint(parseNote(note).text);
  if (originHash(origin) !== hash || checkpoint.origin !== origin) throw new Error(`it is the state of ${origin}`);
  return { origin, generation, time: BigInt(time), note, checkpoint };
}

function corrupt(path: string, what: string, cause?: unknown): WitnessError {
  const message = `${path} is damaged: ${what}; restore the newest copy of the whole folder`;
  return new WitnessError("state-corrupt", message, { details: { path }, cause });
}

async function readIfThere(path: string): Promise<Buffer | undefined> {
  try {
    return await readFile(path);
  } catch (cause) {
    if (cause instanceof Error && "code" in cause && cause.code === "ENOENT") return undefined;
    throw cause;
  }
}

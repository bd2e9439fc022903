/**
 * How far the state of each origin has come, in one file of its own beside the states.
 *
 * A mark is written after the state and before the answer. So after a crash a state is at most one step ahead of its mark,
 * and never behind: whatever else is found, one of the two is an older copy.
 *
 * Marks are written in place with O_DSYNC, one disk write each. Every origin has two slots, in two pages that share no
 * sector, and a write goes to the older one: dying in the midst of it leaves the other.
 *
 * Slot (128 bytes): magic (8) | SHA-256 of the origin (32) | generation u64 | SHA-256 of the state's file (32) | first 16
 * bytes of the SHA-256 of these 80 | zeros.
 */
import { constants } from "node:fs";
import { readFile } from "node:fs/promises";
import { equalBytes, sha256 } from "@tallystick/core";
import { type FileSystem, writeFileDurably } from "@tallystick/storage";
import { WitnessError } from "./error.ts";

/** What is remembered of the newest state of one origin. */
export interface Mark {
  /** How often the state has been written; from 1 on. */
  readonly generation: number;
  /** SHA-256 of the state's file. */
  readonly digest: Uint8Array;
}

const MAGIC = Buffer.from("tswmark1", "latin1");
const HEADER = Buffer.from("tallystick witness high-water marks v1\n", "latin1");
const PAGE_BYTES = 4096;
const SLOT_BYTES = 128;
const CHECKED_BYTES = 80;
const CHECKSUM_BYTES = 16;
const SLOTS_PER_PAGE = PAGE_BYTES / SLOT_BYTES;

interface Place {
  /** The origin's number in the file. */
  readonly row: number;
  /** In which of its two slots the newest mark lies; 1 before the first, so that it goes to 0. */
  side: 0 | 1;
  mark: Mark | undefined;
}

export class HighWaterFile {
  readonly #fileSystem: FileSystem;
  readonly #file: number;
  readonly #places: Map<string, Place>;
  #rows: number;

  private constructor(fileSystem: FileSystem, file: number, places: Map<string, Place>) {
    this.#fileSystem = fileSystem;
    this.#file = file;
    this.#places = places;
    this.#rows = Math.max(0, ...[...places.values()].map(({ row }) => row + 1));
  }

  /** Makes a file without marks. Durable when it resolves. */
  static async create(path: string, fileSystem: FileSystem): Promise<void> {
    const header = new Uint8Array(PAGE_BYTES);
    header.set(HEADER);
    await writeFileDurably(path, header, { fileSystem });
  }

  /**
   * Opens the file.
   *
   * @throws {WitnessError} `state-rolled-back`: there is none, though the witness has been started before.
   * @throws {WitnessError} `state-corrupt`: it is another file, or holds two places for one origin.
   */
  static async open(path: string, fileSystem: FileSystem): Promise<HighWaterFile> {
    const places = readPlaces(await readBytes(path), path);
    const file = await fileSystem.open(path, constants.O_WRONLY | constants.O_DSYNC);
    return new HighWaterFile(fileSystem, file, places);
  }

  /** Hashes of the origins that have a mark. */
  get origins(): readonly string[] {
    return [...this.#places].filter(([, { mark }]) => mark !== undefined).map(([hash]) => hash);
  }

  read(originHash: string): Mark | undefined {
    return this.#places.get(originHash)?.mark;
  }

  /** Durable when it resolves. One call at a time for one origin; after one that failed, its mark is the old or the new. */
  async write(originHash: string, mark: Mark): Promise<void> {
    const place = this.#placeOf(originHash);
    const side = place.side === 0 ? 1 : 0;
    await this.#fileSystem.write(this.#file, encodeSlot(originHash, mark), slotOffset(place.row, side));
    place.side = side;
    place.mark = mark;
  }

  async close(): Promise<void> {
    await this.#fileSystem.close(this.#file);
  }

  #placeOf(originHash: string): Place {
    const known = this.#places.get(originHash);
    if (known !== undefined) return known;
    const place: Place = { row: this.#rows, side: 1, mark: undefined };
    this.#rows += 1;
    this.#places.set(originHash, place);
    return place;
  }
}

async function readBytes(path: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (cause) {
    const message = `${path} cannot be read, so nothing shows that the state beside it is the newest; restore the newest copy of the folder`;
    throw new WitnessError("state-rolled-back", message, { details: { path }, cause });
  }
}

function readPlaces(bytes: Buffer, path: string): Map<string, Place> {
  if (!bytes.subarray(0, HEADER.length).equals(HEADER)) {
    throw new WitnessError("state-corrupt", `${path} is not a file of high-water marks`, { details: { path } });
  }
  const places = new Map<string, Place>();
  const rows = Math.floor(bytes.length / PAGE_BYTES) * SLOTS_PER_PAGE;
  for (let row = 0; row < rows; row += 1) {
    const found = newestSlot(bytes, row);
    // A row is claimed by its first write; if that was torn, it stays taken, so that no other origin moves up.
    if (found === undefined) {
      if (isUsed(bytes, row)) places.set(`torn row ${row}`, { row, side: 1, mark: undefined });
      continue;
    }
    if (places.has(found.originHash)) {
      throw new WitnessError("state-corrupt", `${path} holds two places for one origin`, { details: { path } });
    }
    places.set(found.originHash, { row, side: found.side, mark: found.mark });
  }
  return places;
}

interface FoundSlot {
  readonly originHash: string;
  readonly side: 0 | 1;
  readonly mark: Mark;
}

function newestSlot(bytes: Buffer, row: number): FoundSlot | undefined {
  let newest: FoundSlot | undefined;
  for (const side of [0, 1] as const) {
    const decoded = decodeSlot(slotAt(bytes, row, side));
    if (decoded === undefined) continue;
    if (newest === undefined || decoded.mark.generation > newest.mark.generation) newest = { ...decoded, side };
  }
  return newest;
}

function isUsed(bytes: Buffer, row: number): boolean {
  return ([0, 1] as const).some((side) => slotAt(bytes, row, side).some((byte) => byte !== 0));
}

function slotAt(bytes: Buffer, row: number, side: 0 | 1): Buffer {
  const offset = slotOffset(row, side);
  return bytes.subarray(offset, offset + SLOT_BYTES);
}

/** Page 0 is the header; then come pairs of pages, one for each side of the same rows. */
function slotOffset(row: number, side: 0 | 1): number {
  const pair = Math.floor(row / SLOTS_PER_PAGE);
  return (1 + pair * 2 + side) * PAGE_BYTES + (row % SLOTS_PER_PAGE) * SLOT_BYTES;
}

function encodeSlot(originHash: string, { generation, digest }: Mark): Uint8Array {
  const slot = Buffer.alloc(SLOT_BYTES);
  MAGIC.copy(slot);
  slot.write(originHash, 8, "hex");
  slot.writeBigUInt64BE(BigInt(generation), 40);
  slot.set(digest, 48);
  slot.set(checksum(slot), CHECKED_BYTES);
  return slot;
}

/** Undefined for what is not a whole slot: torn, damaged, or never written. */
function decodeSlot(slot: Buffer): { originHash: string; mark: Mark } | undefined {
  if (slot.length < SLOT_BYTES || !slot.subarray(0, MAGIC.length).equals(MAGIC)) return undefined;
  if (!equalBytes(slot.subarray(CHECKED_BYTES, CHECKED_BYTES + CHECKSUM_BYTES), checksum(slot))) return undefined;
  const generation = Number(slot.readBigUInt64BE(40));
  return {
    originHash: slot.toString("hex", 8, 40),
    mark: { generation, digest: new Uint8Array(slot.subarray(48, 80)) },
  };
}

function checksum(slot: Uint8Array): Uint8Array {
  return sha256(slot.subarray(0, CHECKED_BYTES)).subarray(0, CHECKSUM_BYTES);
}

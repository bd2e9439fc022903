/**
 * The kernel: SHA-256 and XChaCha20-Poly1305 of many messages, four at a time in the lanes of WebAssembly's vectors.
 * docs/decisions/0040.
 *
 * This file moves bytes in and out of its memory, whose size is fixed: what does not fit at once goes in parts.
 */
import { sha256 } from "#crypto";
import {
  AEAD_KEY_BYTES,
  AEAD_ROOM_MAX,
  AEAD_TAG_BYTES,
  type AeadInput,
  type AeadRoom,
  type PlacedBytes,
  encryptPortablyInRoom,
} from "./aead-portable.ts";
import { decodeBase64 } from "./base64.ts";
import { HASH_BYTES, type Hash, hashLeaf } from "./hash.ts";
import { KERNEL_WASM } from "./kernel-wasm.ts";

/** What is used of it: TypeScript has its types among those of a browser's window only. */
declare const WebAssembly: {
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (module: object) => { readonly exports: unknown };
};

/** The addresses and bounds of assembly/index.ts. */
interface Exports extends Readonly<Record<"INPUT" | "INPUT_BYTES" | "LENGTHS" | "ENTRIES_MAX" | "OUTPUT", Global>> {
  readonly memory: { readonly buffer: ArrayBuffer };
  hash(count: number): void;
  hashLeaves(count: number): void;
  hashNodes(count: number): void;
  hashPaths(count: number): void;
  readBase64(start: number, count: number): number;
  readHashes(start: number, count: number): number;
  encrypt(count: number): void;
}

interface Global {
  readonly value: number;
}

const SHA256_BLOCK_BYTES = 64;
const PAIR_BYTES = 2 * HASH_BYTES;
/** Behind a message: a bit, and its length. FIPS 180-4 §5.1.1. */
const PADDING_BYTES_MIN = 9;
const LEAF_PREFIX_BYTES = 1;

/** Ways up a tree: hashes with their siblings. */
export interface HashPaths {
  /** Of each way the hash that it starts from, and the siblings, from the bottom up, one after the other. */
  readonly hashes: Uint8Array;
  /**
   * Of each way {@link STEPS_WORDS} words: how many siblings it has, at most 64, and of which the sibling is the
   * left one: the lower 32 bits and the upper 32 bits, the lowest bit for the lowest step.
   */
  readonly steps: Uint32Array;
}
export const STEPS_WORDS = 3;

/** What assembly/aead.ts keeps in front of a text and its associated data: the key, the nonce, and the tag's key. */
const AEAD_HEADER_BYTES = AEAD_ROOM_MAX;

/** Everything here is synchronous: no two callers see one memory. */
export class Kernel {
  /** UTF-16 code units, for what reads base64 from them: until anything else is asked for. */
  readonly units: Uint16Array;
  /** What was read from base64: until anything else is asked for. The same as words. */
  readonly read: Uint8Array;
  readonly readWords: Uint32Array;
  readonly #exports: Exports;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #input: number;
  readonly #inputBytes: number;
  readonly #lengths: number;
  readonly #output: number;
  readonly #entriesMax: number;

  private constructor(exports: Exports) {
    this.#exports = exports;
    this.#bytes = new Uint8Array(exports.memory.buffer);
    this.#view = new DataView(exports.memory.buffer);
    this.#input = exports.INPUT.value;
    this.#inputBytes = exports.INPUT_BYTES.value;
    this.#lengths = exports.LENGTHS.value;
    this.#output = exports.OUTPUT.value;
    this.#entriesMax = exports.ENTRIES_MAX.value;
    const { buffer } = exports.memory;
    this.units = new Uint16Array(buffer, this.#input, this.#inputBytes / 2);
    this.read = this.#bytes.subarray(this.#output, this.#output + this.#entriesMax * HASH_BYTES);
    this.readWords = new Uint32Array(buffer, this.#output, (this.#entriesMax * HASH_BYTES) / 4);
  }

  /** A kernel of its own, or undefined where the platform has no WebAssembly with vectors, or forbids it. */
  static create(): Kernel | undefined {
    try {
      const module = new WebAssembly.Module(decodeBase64(KERNEL_WASM));
      return new Kernel(new WebAssembly.Instance(module).exports as Exports);
    } catch {
      return undefined;
    }
  }

  /** SHA-256 of each, one after the other. No message and no hash is left in the kernel's memory. */
  sha256All(messages: readonly Uint8Array[]): Uint8Array {
    const hash = (count: number): void => this.#exports.hash(count);
    return this.#overwritingAfterErrors(() => {
      const hashes = this.#hashAll(messages, 0, hash, sha256);
      this.#bytes.fill(0, this.#output, this.#output + Math.min(hashes.length, this.#entriesMax * HASH_BYTES));
      return hashes;
    });
  }

  /** What {@link hashLeaf} gives of each, one after the other. */
  hashLeaves(entries: readonly Uint8Array[]): Uint8Array {
    return this.#hashAll(entries, LEAF_PREFIX_BYTES, (count) => this.#exports.hashLeaves(count), hashLeaf);
  }

  #hashAll(
    messages: readonly Uint8Array[],
    prefixBytes: number,
    hash: (count: number) => void,
    hashSingly: (message: Uint8Array) => Hash,
  ): Uint8Array {
    const hashes = new Uint8Array(messages.length * HASH_BYTES);
    let from = 0;
    while (from < messages.length) {
      const count = this.#takeMessages(messages, from, prefixBytes);
      if (count > 0) {
        hash(count);
        this.#give(hashes, from, count);
        from += count;
      } else {
        hashes.set(hashSingly(messages[from] as Uint8Array), from * HASH_BYTES);
        from += 1;
      }
    }
    return hashes;
  }

  /** Copies messages to where they are hashed. Returns how many; none if the first one is too long. */
  #takeMessages(messages: readonly Uint8Array[], from: number, prefixBytes: number): number {
    let taken = 0;
    let at = this.#input;
    const end = this.#input + this.#inputBytes;
    for (let i = from; i < messages.length && taken < this.#entriesMax; i += 1) {
      const message = messages[i] as Uint8Array;
      const size = prefixBytes + message.length + PADDING_BYTES_MIN;
      const next = at + Math.ceil(size / SHA256_BLOCK_BYTES) * SHA256_BLOCK_BYTES;
      if (next > end) break;
      this.#bytes.set(message, at + prefixBytes);
      this.#view.setUint32(this.#lengths + 4 * taken, message.length, true);
      taken += 1;
      at = next;
    }
    return taken;
  }

  /** What {@link hashNode} gives of the first and the second hash, of the third and the fourth, and so on. */
  hashNodes(pairs: Uint8Array): Uint8Array {
    const total = pairs.length / PAIR_BYTES;
    const hashes = new Uint8Array(total * HASH_BYTES);
    for (let from = 0; from < total; from += this.#entriesMax) {
      const count = Math.min(this.#entriesMax, total - from);
      this.#bytes.set(pairs.subarray(from * PAIR_BYTES, (from + count) * PAIR_BYTES), this.#input);
      this.#exports.hashNodes(count);
      this.#give(hashes, from, count);
    }
    return hashes;
  }

  /** What {@link hashPathsSingly} gives. */
  hashPaths({ hashes, steps }: HashPaths): Uint8Array {
    const count = steps.length / STEPS_WORDS;
    const nodes = new Uint8Array(hashes.length - count * HASH_BYTES);
    let [from, hash, node] = [0, 0, 0];
    while (from < count) {
      const { end, stepCount } = this.#takePaths(steps, from);
      const hashCount = stepCount + end - from;
      this.#bytes.set(hashes.subarray(hash * HASH_BYTES, (hash + hashCount) * HASH_BYTES), this.#input);
      this.#exports.hashPaths(end - from);
      this.#give(nodes, node, stepCount);
      [from, hash, node] = [end, hash + hashCount, node + stepCount];
    }
    return nodes;
  }

  /** Copies what is said of ways from one on, as far as there is room for the nodes that they make. */
  #takePaths(steps: Uint32Array, from: number): { end: number; stepCount: number } {
    let [end, stepCount] = [from, 0];
    const endMax = Math.min(steps.length / STEPS_WORDS, from + Math.floor(this.#entriesMax / STEPS_WORDS));
    while (end < endMax && stepCount + Number(steps[end * STEPS_WORDS]) <= this.#entriesMax) {
      stepCount += Number(steps[end * STEPS_WORDS]);
      end += 1;
    }
    new Uint32Array(this.#bytes.buffer, this.#lengths).set(steps.subarray(from * STEPS_WORDS, end * STEPS_WORDS));
    return { end, stepCount };
  }

  /** Reads sixteen digits of {@link units} into twelve bytes so many times, unless one is no digit. */
  readBase64(start: number, count: number): boolean {
    return this.#exports.readBase64(start, count) === 1;
  }

  /** Reads lines of 45 of {@link units}, each the base64 of a hash and a newline, unless one is another. */
  readHashes(start: number, count: number): boolean {
    return this.#exports.readHashes(start, count) === 1;
  }

  #give(hashes: Uint8Array, from: number, count: number): void {
    hashes.set(this.#bytes.subarray(this.#output, this.#output + count * HASH_BYTES), from * HASH_BYTES);
  }

  /** What {@link encryptPortablyInRoom} gives of each. No key and no text is left in the kernel's memory. */
  encryptAll(inputs: readonly AeadInput[], room: AeadRoom): PlacedBytes[] {
    return this.#overwritingAfterErrors(() => {
      const encrypted: PlacedBytes[] = [];
      while (encrypted.length < inputs.length) this.#encryptSome(inputs, room, encrypted);
      return encrypted;
    });
  }

  /** Where something is no byte string, others before it have been copied already. */
  #overwritingAfterErrors<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      this.#bytes.fill(0, this.#input, this.#input + this.#inputBytes);
      this.#bytes.fill(0, this.#output, this.#output + this.#entriesMax * HASH_BYTES);
      throw error;
    }
  }

  /** Goes on behind what is encrypted already, as far as the memory reaches. */
  #encryptSome(inputs: readonly AeadInput[], room: AeadRoom, encrypted: PlacedBytes[]): void {
    const { starts, end } = this.#takeTexts(inputs, encrypted.length, room.after);
    if (starts.length === 0) encrypted.push(encryptPortablyInRoom(inputs[encrypted.length] as AeadInput, room));
    this.#exports.encrypt(starts.length);
    // One copy of all. What lies between two of them there is the room of both.
    const bytes = this.#bytes.slice(this.#input, end + room.after);
    for (const start of starts) {
      const { plaintext } = inputs[encrypted.length] as AeadInput;
      encrypted.push({ bytes, start, end: start + plaintext.length + AEAD_TAG_BYTES });
    }
  }

  /**
   * Copies texts to where they are encrypted.
   *
   * @returns where each starts, from the start of the input on; none if the first one is too long.
   */
  #takeTexts(inputs: readonly AeadInput[], from: number, after: number): { starts: number[]; end: number } {
    const starts: number[] = [];
    const inputEnd = this.#input + this.#inputBytes - after;
    let at = this.#input;
    for (let i = from; i < inputs.length && 2 * starts.length < this.#entriesMax; i += 1) {
      const { key, nonce, associatedData, plaintext } = inputs[i] as AeadInput;
      const text = at + AEAD_HEADER_BYTES + padded(associatedData.length);
      const next = text + padded(plaintext.length) + AEAD_TAG_BYTES;
      if (next > inputEnd) break;
      this.#bytes.set(key, at);
      this.#bytes.set(nonce, at + AEAD_KEY_BYTES);
      this.#bytes.set(associatedData, at + AEAD_HEADER_BYTES);
      this.#bytes.set(plaintext, text);
      this.#view.setUint32(this.#lengths + 8 * starts.length, associatedData.length, true);
      this.#view.setUint32(this.#lengths + 8 * starts.length + 4, plaintext.length, true);
      starts.push(text - this.#input);
      at = next;
    }
    return { starts, end: at };
  }
}

/** Filled up to a multiple of 16, as Poly1305 takes it. */
function padded(bytes: number): number {
  return Math.ceil(bytes / 16) * 16;
}

let shared: Kernel | "none" | undefined;

/**
 * The kernel of this process or page, or undefined where there can be none. Decided when it is first asked for: to
 * compile it takes a millisecond or two.
 */
export function sharedKernel(): Kernel | undefined {
  shared ??= Kernel.create() ?? "none";
  return shared === "none" ? undefined : shared;
}

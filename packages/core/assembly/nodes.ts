/** The hashes of a tree's inner nodes, SHA-256(0x01 left right), four at a time. RFC 6962 §2.1. */
import { HASH_BYTES, WORDS, compress, compressScheduled, finish, loadBlocks, schedule, start } from "./sha256";

/** Of the 65 bytes that are hashed. */
const MESSAGE_BITS: u32 = 65 * 8;
const PAIR_BYTES: u32 = 2 * HASH_BYTES;
const ROW_BYTES: u32 = 64 * 4;

/**
 * The second block of a node is its last byte and padding, so there are 256 of them. This holds what a round takes of
 * each, 64 words a row: hashing a node saves the message schedule of one block in two.
 */
const TAILS = memory.data(256 * ROW_BYTES, 16);

export function makeTails(): void {
  for (let byte: u32 = 0; byte < 256; byte += 1) {
    const row = TAILS + byte * ROW_BYTES;
    store<u32>(row, (byte << 24) | 0x800000);
    for (let word: usize = 1; word < 15; word += 1) store<u32>(row + (word << 2), 0);
    store<u32>(row + (15 << 2), MESSAGE_BITS);
    schedule(row);
  }
}

/**
 * Hashes neighbouring pairs.
 *
 * @param from - Twice as many hashes, one after the other; the byte before them is read, whatever it is.
 * @param to - Has room for four at a time.
 */
export function hashPairs(from: usize, to: usize, count: usize): void {
  const last = from + (count - 1) * PAIR_BYTES;
  for (let done: usize = 0; done < count; done += 4) {
    const a = from + done * PAIR_BYTES;
    // Lanes that are left over repeat the last pair.
    const b = min(a + PAIR_BYTES, last);
    const c = min(a + 2 * PAIR_BYTES, last);
    const d = min(a + 3 * PAIR_BYTES, last);
    start();
    loadBlocks(a - 1, b - 1, c - 1, d - 1);
    const first = v128.and(v128.load(WORDS), i32x4.splat(0x00ffffff));
    v128.store(WORDS, v128.or(first, i32x4.splat(0x01000000)));
    compress(WORDS);
    compressScheduled(tailOf(a), tailOf(b), tailOf(c), tailOf(d));
    finish(to + done * HASH_BYTES);
  }
}

@inline function tailOf(pair: usize): usize { return TAILS + <usize>load<u8>(pair, 63) * ROW_BYTES; }

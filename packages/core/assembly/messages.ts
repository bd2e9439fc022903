/** SHA-256 of messages of any length, as they are or behind the prefix of a tree's leaf: RFC 6962 §2.1. */
import { BLOCK_BYTES, HASH_BYTES, WORDS, compress, finishLane, loadBlocks, startLane } from "./sha256";

const LANES: u32 = 4;

/** By lane: where its next block is, and where its message ends. */
const NEXT = memory.data(4 * LANES);
const END = memory.data(4 * LANES);
/** By lane: where its hash goes. */
const TO = memory.data(4 * LANES);

/** Lanes that have no message left compress this. */
const IDLE = memory.data(BLOCK_BYTES, 16);
const IDLE_HASH = memory.data(HASH_BYTES, 16);

/** What stands in front of an entry in its leaf: one byte, 0. */
export const LEAF_PREFIX_BYTES: u32 = 1;

/**
 * Hashes messages that lie one after the other, each from a multiple of 64 bytes on behind bytes that are left free for
 * the prefix, and with 9 bytes behind it that are free for the padding.
 *
 * @param lengths - The bytes of each message, without the prefix: 32 bits, little-endian.
 * @param prefixBytes - 0 or {@link LEAF_PREFIX_BYTES}.
 * @returns where they end.
 */
export function hashMessages(from: usize, lengths: usize, count: usize, to: usize, prefixBytes: u32): usize {
  let next = from;
  let taken: usize = 0;
  let busy: usize = 0;
  for (let lane: usize = 0; lane < LANES; lane += 1) {
    if (taken < count) {
      next = takeMessage(lane, next, prefixBytes, load<u32>(lengths + (taken << 2)), to + taken * HASH_BYTES);
      taken += 1;
      busy += 1;
    } else {
      idle(lane);
    }
  }
  while (busy > 0) {
    loadBlocks(load<u32>(NEXT), load<u32>(NEXT, 4), load<u32>(NEXT, 8), load<u32>(NEXT, 12));
    compress(WORDS);
    // Messages end at different blocks. A lane whose message ends takes up the next one at once.
    for (let lane: usize = 0; lane < LANES; lane += 1) {
      const block = load<u32>(NEXT + (lane << 2)) + <u32>BLOCK_BYTES;
      store<u32>(NEXT + (lane << 2), block);
      if (block != load<u32>(END + (lane << 2))) continue;
      const hash = load<u32>(TO + (lane << 2));
      finishLane(lane, hash);
      if (taken < count) {
        next = takeMessage(lane, next, prefixBytes, load<u32>(lengths + (taken << 2)), to + taken * HASH_BYTES);
        taken += 1;
      } else {
        if (hash != <u32>IDLE_HASH) busy -= 1;
        idle(lane);
      }
    }
  }
  return next;
}

/** Prepares a message and gives it to a lane. Returns where the next message is. */
function takeMessage(lane: usize, start: usize, prefixBytes: u32, bytes: u32, to: usize): usize {
  if (prefixBytes === LEAF_PREFIX_BYTES) store<u8>(start, 0);
  const end = pad(start, prefixBytes + bytes);
  store<u32>(NEXT + (lane << 2), <u32>start);
  store<u32>(END + (lane << 2), <u32>end);
  store<u32>(TO + (lane << 2), <u32>to);
  startLane(lane);
  return end;
}

function idle(lane: usize): void {
  store<u32>(NEXT + (lane << 2), <u32>IDLE);
  store<u32>(END + (lane << 2), <u32>(IDLE + BLOCK_BYTES));
  store<u32>(TO + (lane << 2), <u32>IDLE_HASH);
}

/** Writes behind a message what FIPS 180-4 §5.1.1 wants there. Returns the end. */
function pad(start: usize, size: u32): usize {
  const end = start + ((size + 9 + 63) & ~63);
  store<u8>(start + size, 0x80);
  for (let at = start + size + 1; at < end - 8; at += 8) store<u64>(at, 0);
  store<u64>(end - 8, bswap<u64>(<u64>size << 3));
  return end;
}

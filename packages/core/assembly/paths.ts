/** Ways up a tree, four at a time: from a hash and its siblings to the nodes above it. RFC 6962 §2.1. */
import { hashPairs } from "./nodes";
import { HASH_BYTES } from "./sha256";

const LANES: u32 = 4;
const PAIR_BYTES: u32 = 2 * HASH_BYTES;

/** What is said of a way: how many steps it has, and of which the sibling is the left one, the lowest bit for the first. */
const STEPS_BYTES: u32 = 12;

/** By lane: where the hash is that it has reached, and where the next sibling is. */
const REACHED = memory.data(4 * LANES);
const SIBLING = memory.data(4 * LANES);
/** By lane: how many steps are left, and their sides. */
const LEFT = memory.data(4 * LANES);
const SIDES = memory.data(8 * LANES, 8);
/** By lane: where the next node goes. */
const TO = memory.data(4 * LANES);

/** A pair of each lane, behind a byte that is read, whatever it is. */
const BEFORE_PAIRS = memory.data(5 * PAIR_BYTES, 64);
const PAIRS = BEFORE_PAIRS + PAIR_BYTES;
const NODES = memory.data(4 * HASH_BYTES, 16);

/** The way that is taken next. */
let nextHash: usize = 0;
let nextSteps: usize = 0;
let nextTo: usize = 0;

/**
 * Goes up each way to its end.
 *
 * @param from - Of each way the hash that it starts from, and its siblings from the bottom up.
 * @param steps - What is said of each way: 32 bits, and 64 bits.
 * @param to - Has room for a node for each step.
 */
export function hashWays(from: usize, steps: usize, count: usize, to: usize): void {
  const end = steps + count * STEPS_BYTES;
  nextHash = from;
  nextSteps = steps;
  nextTo = to;
  let busy: usize = 0;
  for (let lane: usize = 0; lane < LANES; lane += 1) busy += takeWay(lane, end);
  while (busy > 0) {
    for (let lane: usize = 0; lane < LANES; lane += 1) if (load<u32>(LEFT + (lane << 2)) > 0) fillPair(lane);
    hashPairs(PAIRS, NODES, LANES);
    for (let lane: usize = 0; lane < LANES; lane += 1) {
      if (load<u32>(LEFT + (lane << 2)) === 0) continue;
      stepUp(lane);
      // A lane that has arrived takes up the next way at once.
      if (load<u32>(LEFT + (lane << 2)) === 0) busy = busy - 1 + takeWay(lane, end);
    }
  }
}

/** Gives a lane the next way that has steps. Returns how many it has then. */
function takeWay(lane: usize, end: usize): usize {
  while (nextSteps < end && load<u32>(nextSteps) === 0) {
    nextHash += HASH_BYTES;
    nextSteps += STEPS_BYTES;
  }
  if (nextSteps === end) {
    store<u32>(LEFT + (lane << 2), 0);
    return 0;
  }
  const steps = load<u32>(nextSteps);
  store<u32>(LEFT + (lane << 2), steps);
  store<u64>(SIDES + (lane << 3), load<u64>(nextSteps, 4));
  store<u32>(REACHED + (lane << 2), <u32>nextHash);
  store<u32>(SIBLING + (lane << 2), <u32>nextHash + HASH_BYTES);
  store<u32>(TO + (lane << 2), <u32>nextTo);
  nextHash += (1 + steps) * HASH_BYTES;
  nextTo += steps * HASH_BYTES;
  nextSteps += STEPS_BYTES;
  return 1;
}

function fillPair(lane: usize): void {
  const pair = PAIRS + lane * PAIR_BYTES;
  const siblingOffset: usize = (load<u64>(SIDES + (lane << 3)) & 1) === 1 ? 0 : HASH_BYTES;
  copyHash(load<u32>(SIBLING + (lane << 2)), pair + siblingOffset);
  copyHash(load<u32>(REACHED + (lane << 2)), pair + HASH_BYTES - siblingOffset);
}

function stepUp(lane: usize): void {
  const to = load<u32>(TO + (lane << 2));
  copyHash(NODES + lane * HASH_BYTES, to);
  store<u32>(REACHED + (lane << 2), to);
  store<u32>(TO + (lane << 2), to + HASH_BYTES);
  store<u32>(SIBLING + (lane << 2), load<u32>(SIBLING + (lane << 2)) + HASH_BYTES);
  store<u64>(SIDES + (lane << 3), load<u64>(SIDES + (lane << 3)) >> 1);
  store<u32>(LEFT + (lane << 2), load<u32>(LEFT + (lane << 2)) - 1);
}

@inline function copyHash(from: usize, to: usize): void {
  v128.store(to, v128.load(from));
  v128.store(to, v128.load(from, 16), 16);
}

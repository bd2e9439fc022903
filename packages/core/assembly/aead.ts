/**
 * XChaCha20-Poly1305 of many messages: draft-irtf-cfrg-xchacha-03 §2, RFC 8439 §2.8.
 *
 * A message lies in memory as its key, its nonce, room for the key of its tag, its associated data, its text, and room
 * for what Poly1305 takes behind it. All keys are turned first, four messages at a time; then all blocks of key stream
 * are made, four at a time, whichever message they are for; then all tags.
 */
import { PERMUTED, STATE, permute } from "./chacha20";
import { clear } from "./clear";
import { authenticate } from "./poly1305";
import { transpose } from "./transpose";

const KEY_BYTES: u32 = 32;
/** Where its nonce is: HChaCha20 takes 16 bytes of it, ChaCha20 the last 8. */
const NONCE_AT: u32 = 32;
/** Where the key of its tag is. */
const TAG_KEY_AT: u32 = 64;
/** Where its associated data is. */
const DATA_AT: u32 = 96;
const LENGTHS_BYTES: u32 = 16;
const BLOCK_BYTES: u32 = 64;

const LANES: u32 = 4;
/** By lane: a message. */
const MESSAGE = memory.data(4 * LANES);
/** By lane: what its block of key stream is for, and how many bytes of that there are. */
const TARGET = memory.data(4 * LANES);
const REST = memory.data(4 * LANES);
/** By lane: the number of its block. */
const COUNTER = memory.data(4 * LANES, 16);
/** By lane: 64 bytes. */
const KEY_STREAM = memory.data(LANES * BLOCK_BYTES, 16);

@inline function lane32(table: usize, lane: u32): u32 { return load<u32>(table + (lane << 2)); }
@inline function setLane32(table: usize, lane: u32, value: u32): void { store<u32>(table + (lane << 2), value); }
@inline function padded(bytes: u32): u32 { return (bytes + 15) & ~15; }

/** The bytes that a message takes. */
@inline function sizeOf(dataBytes: u32, textBytes: u32): u32 {
  return DATA_AT + padded(dataBytes) + padded(textBytes) + LENGTHS_BYTES;
}

/**
 * Encrypts each text where it lies, and puts its tag behind it.
 *
 * @param lengths - Of each message the bytes of associated data and of text: 32 bits each, little-endian.
 */
export function encryptMessages(from: usize, lengths: usize, count: u32): void {
  turnKeys(from, lengths, count);
  addKeyStreams(from, lengths, count);
  tag(from, lengths, count);
  clear(STATE, 256);
  clear(PERMUTED, 256);
  clear(KEY_STREAM, LANES * BLOCK_BYTES);
}

/** HChaCha20: replaces each key by the one for its nonce. */
function turnKeys(from: usize, lengths: usize, count: u32): void {
  let message = from;
  for (let done: u32 = 0; done < count; done += LANES) {
    for (let lane: u32 = 0; lane < LANES; lane += 1) {
      setLane32(MESSAGE, lane, <u32>message);
      // Lanes that are left over repeat the last message.
      if (done + lane + 1 < count) message += sizeAt(lengths, done + lane);
    }
    loadKeys();
    loadQuarter(NONCE_AT, STATE + 192);
    permute();
    // The keys of all four are taken by now: a message may stand in several lanes.
    storeQuarter(PERMUTED, 0);
    storeQuarter(PERMUTED + 192, 16);
  }
}

/** The words 0 to 11 of the states of four messages. */
function loadKeys(): void {
  v128.store(STATE, i32x4.splat(0x61707865));
  v128.store(STATE, i32x4.splat(0x3320646e), 16);
  v128.store(STATE, i32x4.splat(0x79622d32), 32);
  v128.store(STATE, i32x4.splat(0x6b206574), 48);
  loadQuarter(0, STATE + 64);
  loadQuarter(16, STATE + 128);
}

/** Four words of each of four messages. */
@inline function loadQuarter(at: u32, to: usize): void {
  transpose(
    v128.load(lane32(MESSAGE, 0) + at), v128.load(lane32(MESSAGE, 1) + at),
    v128.load(lane32(MESSAGE, 2) + at), v128.load(lane32(MESSAGE, 3) + at), to, 16,
  );
}

@inline function storeQuarter(from: usize, at: u32): void {
  transpose(v128.load(from), v128.load(from, 16), v128.load(from, 32), v128.load(from, 48), KEY_STREAM, 16);
  for (let lane: u32 = 0; lane < LANES; lane += 1) {
    v128.store(lane32(MESSAGE, lane) + at, v128.load(KEY_STREAM + (lane << 4)));
  }
}

@inline function sizeAt(lengths: usize, message: u32): u32 {
  return sizeOf(load<u32>(lengths + (message << 3)), load<u32>(lengths + (message << 3), 4));
}

/** Block 0 of each key stream is the key of the tag, the others are for the text. */
function addKeyStreams(from: usize, lengths: usize, count: u32): void {
  let message = <u32>from;
  let lane: u32 = 0;
  for (let done: u32 = 0; done < count; done += 1) {
    const dataBytes = load<u32>(lengths + (done << 3));
    const textBytes = load<u32>(lengths + (done << 3), 4);
    const text = message + DATA_AT + padded(dataBytes);
    clear(message + TAG_KEY_AT, KEY_BYTES);
    lane = takeBlock(lane, message, 0, message + TAG_KEY_AT, KEY_BYTES);
    let counter: u32 = 1;
    for (let at: u32 = 0; at < textBytes; at += BLOCK_BYTES, counter += 1) {
      lane = takeBlock(lane, message, counter, text + at, min(BLOCK_BYTES, textBytes - at));
    }
    message += sizeOf(dataBytes, textBytes);
  }
  if (lane === 0) return;
  // Lanes that are left over make a block for nothing.
  for (let rest = lane; rest < LANES; rest += 1) {
    setLane32(MESSAGE, rest, lane32(MESSAGE, 0));
    setLane32(REST, rest, 0);
  }
  makeBlocks();
}

/** Gives a block to a lane, and makes four where that was the last one. Returns the lane of the next. */
@inline function takeBlock(lane: u32, message: u32, counter: u32, target: u32, bytes: u32): u32 {
  setLane32(MESSAGE, lane, message);
  setLane32(COUNTER, lane, counter);
  setLane32(TARGET, lane, target);
  setLane32(REST, lane, bytes);
  if (lane + 1 < LANES) return lane + 1;
  makeBlocks();
  return 0;
}

/** Four blocks of key stream, each added to what it is for. RFC 8439 §2.4. */
function makeBlocks(): void {
  loadKeys();
  loadQuarter(NONCE_AT + 8, STATE + 192);
  // The last 8 bytes of the nonce are in place; before them come the counter and 4 zeros.
  v128.store(STATE, v128.load(COUNTER), 192);
  v128.store(STATE, i32x4.splat(0), 208);
  permute();
  for (let at: usize = 0; at < 256; at += 64) {
    transpose(
      i32x4.add(v128.load(PERMUTED + at), v128.load(STATE + at)),
      i32x4.add(v128.load(PERMUTED + at, 16), v128.load(STATE + at, 16)),
      i32x4.add(v128.load(PERMUTED + at, 32), v128.load(STATE + at, 32)),
      i32x4.add(v128.load(PERMUTED + at, 48), v128.load(STATE + at, 48)),
      KEY_STREAM + (at >> 2), BLOCK_BYTES,
    );
  }
  for (let lane: u32 = 0; lane < LANES; lane += 1) {
    addKeyStream(KEY_STREAM + lane * BLOCK_BYTES, lane32(TARGET, lane), lane32(REST, lane));
  }
}

function addKeyStream(keyStream: usize, to: usize, bytes: u32): void {
  let at: usize = 0;
  for (; at + 16 <= bytes; at += 16) v128.store(to + at, v128.xor(v128.load(to + at), v128.load(keyStream + at)));
  for (; at < bytes; at += 1) store<u8>(to + at, load<u8>(to + at) ^ load<u8>(keyStream + at));
}

/** RFC 8439 §2.8: the tag is of the associated data and the text, each filled up with zeros, and of their lengths. */
function tag(from: usize, lengths: usize, count: u32): void {
  let message = <u32>from;
  for (let done: u32 = 0; done < count; done += 1) {
    const dataBytes = load<u32>(lengths + (done << 3));
    const textBytes = load<u32>(lengths + (done << 3), 4);
    const data = message + DATA_AT;
    const text = data + padded(dataBytes);
    const end = text + padded(textBytes);
    for (let at = data + dataBytes; at < text; at += 1) store<u8>(at, 0);
    for (let at = text + textBytes; at < end; at += 1) store<u8>(at, 0);
    store<u64>(end, dataBytes);
    store<u64>(end, textBytes, 8);
    authenticate(message + TAG_KEY_AT, data, end + LENGTHS_BYTES, text + textBytes);
    clear(message, DATA_AT);
    message = end + LENGTHS_BYTES;
  }
}

import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { encodeCbor } from "@tallystick/events";
import { type Edge, edgeFrom, edgeKeys, edgePieces, edgeRows, isStoredAs, levelOfKey } from "../src/edge.ts";

/** The edge of a level that has so many hashes: each names its place. */
function edgeAt(count: number): Edge {
  const index = Math.floor(count / 256);
  const hashes = new Uint8Array(32 * (count % 256));
  for (let at = 0; at < count % 256; at += 1) new DataView(hashes.buffer).setUint32(32 * at, 256 * index + at);
  return { index, hashes };
}

class Rows {
  readonly stored = new Map<string, Uint8Array>();
  /** Bytes that were written. */
  written = 0;

  write(level: number, edge: Edge, before?: Edge): void {
    for (const { key, value } of edgeRows(level, edge, before)) {
      this.written += key.length + (value?.length ?? 0);
      if (value === null) this.stored.delete(key);
      else this.stored.set(key, value);
    }
  }

  read(level: number): Edge | undefined {
    return edgeFrom(edgeKeys(level).map((key) => this.stored.get(key)));
  }
}

describe("the edge of a level, in rows", () => {
  test("is what was written, and no row beside it, whatever the steps in which it grows", () => {
    const steps = fc.array(fc.oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 200, max: 700 })), {
      minLength: 1,
      maxLength: 30,
    });
    fc.assert(
      fc.property(steps, fc.integer({ min: 0, max: 6 }), fc.integer({ min: 0, max: 29 }), (grown, level, restart) => {
        const rows = new Rows();
        let count = 0;
        for (const [step, more] of grown.entries()) {
          // A process that has begun knows nothing of what there is.
          const before = step === 0 || step === restart ? undefined : edgeAt(count);
          count += more;
          rows.write(level, edgeAt(count), before);
          expect(rows.read(level)).toEqual(count % 256 === 0 ? undefined : edgeAt(count));
          expect(isStoredAs(level, edgeAt(count), rows.stored)).toBe(true);
        }
      }),
    );
  });

  test("costs a commit of one entry the hashes of one row, for each size up to two tiles", () => {
    const rows = new Rows();
    rows.write(0, edgeAt(0));
    for (let count = 1; count <= 512; count += 1) {
      const before = rows.written;
      rows.write(0, edgeAt(count), edgeAt(count - 1));
      expect(rows.written - before).toBeLessThan(16 * 32 + 16);
    }
  });

  test("is taken for the rows that it has, and no others", () => {
    for (const count of [0, 1, 15, 16, 17, 254]) {
      const stored = new Map(edgePieces(0, edgeAt(count)).map(({ key, value }) => [key, value] as const));
      const taken = Array.from({ length: 255 }, (_, at) => at).filter((at) => isStoredAs(0, edgeAt(at), stored));
      expect(taken).toEqual([count]);
    }
  });

  test("is the beginning of one that there was, where rows are read while the log goes on", () => {
    for (const [from, to] of [
      [10, 12],
      [10, 40],
      [16, 17],
      [250, 256],
      [250, 257],
      [5, 300],
      [255, 511],
    ] as const) {
      const [early, late] = [new Rows(), new Rows()];
      early.write(0, edgeAt(from));
      late.write(0, edgeAt(to));
      for (let switched = 0; switched <= edgeKeys(0).length; switched += 1) {
        const torn = edgeKeys(0).map((key, at) => (at < switched ? early : late).stored.get(key));
        const read = edgeFrom(torn);
        if (read === undefined) continue;
        const whole = edgeAt(read.index === edgeAt(to).index ? to : 256 * read.index + 255);
        expect(read.hashes).toEqual(whole.hashes.subarray(0, read.hashes.length));
        // What there was before it was asked for is in it, or in a full tile.
        const isMovedOn = read.index < edgeAt(to).index;
        expect(isMovedOn || read.hashes.length >= Math.min(from, to % 256) * 32).toBe(true);
      }
    }
  });

  test("is read from the row of earlier versions, until it is written again", () => {
    const rows = new Rows();
    rows.stored.set("2", encodeCbor([3, edgeAt(100).hashes]));
    expect(rows.read(2)).toEqual({ index: 3, hashes: edgeAt(100).hashes });
    expect(isStoredAs(2, edgeAt(256 * 3 + 100), rows.stored)).toBe(false);
    expect(isStoredAs(2, { index: 3, hashes: edgeAt(100).hashes }, rows.stored)).toBe(true);
    rows.write(2, edgeAt(256 * 3 + 101));
    expect(rows.read(2)).toEqual(edgeAt(256 * 3 + 101));
    expect([...rows.stored.keys()].sort()).toEqual(["2/0", "2/1", "2/2", "2/3", "2/4", "2/5", "2/6"]);
  });

  test("has no rows that it does not take", () => {
    const rows = new Rows();
    const edge = edgeAt(40);
    rows.write(0, edge);
    for (const key of ["0", "0/3", "0/f"]) {
      const more = new Map([...rows.stored, [key, encodeCbor([0, new Uint8Array(32)])]]);
      expect(isStoredAs(0, edge, more)).toBe(false);
    }
  });

  test("refuses rows that are none", () => {
    for (const row of [
      [0],
      [0, "x"],
      ["0", new Uint8Array(32)],
      [0, new Uint8Array(33)],
      7,
      [0, new Uint8Array(8192)],
    ]) {
      expect(() => edgeFrom([encodeCbor(row)])).toThrow(/^stored edge/);
      expect(() => edgeFrom([undefined, encodeCbor(row)])).toThrow(/^stored edge/);
    }
    expect(() => edgeFrom([undefined, encodeCbor([0, new Uint8Array(17 * 32)])])).toThrow(/^stored edge/);
    expect(() => edgeFrom([Uint8Array.of(0xff)])).toThrow(/^stored edge/);
  });

  test("knows its level by the key", () => {
    for (let level = 0; level < 7; level += 1) for (const key of edgeKeys(level)) expect(levelOfKey(key)).toBe(level);
    for (const key of ["", "x", "-1", "7", "01", "0/", "0/10", "0/g", "0/A", "1/0/0", "100"])
      expect(levelOfKey(key)).toBeUndefined();
  });
});

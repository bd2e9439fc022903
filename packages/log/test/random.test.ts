import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createRandom } from "../src/random.ts";

/** Numbers from 1 in place of random bytes, four bytes each, so that every one given out can be told. */
function createCounter(): { readonly draw: (bytes: number) => Uint8Array; readonly drawn: () => number } {
  let count = 0;
  const draw = (bytes: number): Uint8Array => {
    const view = new DataView(new ArrayBuffer(bytes));
    for (let at = 0; at < bytes; at += 4) view.setUint32(at, ++count);
    return new Uint8Array(view.buffer);
  };
  return { draw, drawn: () => count };
}

function numbersIn(bytes: Uint8Array): number[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return Array.from({ length: bytes.length / 4 }, (_, at) => view.getUint32(at * 4));
}

describe("createRandom", () => {
  test("gives as many bytes as are asked for, and none of them twice", () => {
    const words = fc.array(fc.oneof(fc.constantFrom(4, 6, 8, 2048), fc.integer({ min: 0, max: 5000 })));
    fc.assert(
      fc.property(words, (sizes) => {
        const { draw } = createCounter();
        const random = createRandom(draw);
        const given = sizes.map((size) => random(4 * size));
        expect(given.map(({ length }) => length)).toEqual(sizes.map((size) => 4 * size));
        const numbers = given.flatMap(numbersIn);
        expect(new Set(numbers).size).toBe(numbers.length);
        expect(numbers).not.toContain(0);
      }),
    );
  });

  test("gives bytes of their own: to overwrite one answer changes no other", () => {
    const random = createRandom();
    const first = random(32);
    const second = random(32);
    const before = second.slice();
    first.fill(0);
    expect(second).toEqual(before);
    expect(first.buffer).not.toBe(second.buffer);
  });

  test("asks the platform once for many small answers", () => {
    const { draw, drawn } = createCounter();
    const random = createRandom(draw);
    for (let i = 0; i < 256; i += 1) random(32);
    expect(drawn()).toBe(2048);
  });

  test("differs from one source to the next", () => {
    expect(createRandom()(32)).not.toEqual(createRandom()(32));
  });
});

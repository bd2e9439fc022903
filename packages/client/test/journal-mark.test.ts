import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { utf8 } from "@tallystick/core";
import { describe, expect, test } from "vitest";
import { rejectionCode } from "../../../test/support/errors.ts";
import { JournalMark } from "../src/journal-mark.ts";
import { createFolder } from "./support/setup.ts";

const LINE_BYTES = 43;
const LINE_OFFSETS = [0, 4096];

async function openEnd(path: string, bytes: Uint8Array): Promise<number> {
  await writeFile(path, bytes);
  const mark = await JournalMark.open(path);
  await mark.close();
  return mark.end;
}

const openCode = async (path: string, bytes: Uint8Array): Promise<string | undefined> =>
  rejectionCode(openEnd(path, bytes));

/** A mark that was closed in order, or the ends of a journal that grew. */
async function createMark(ends: readonly number[] = []): Promise<{ path: string; bytes: Buffer }> {
  const path = join(await createFolder(), "mark");
  const mark = await JournalMark.open(path);
  await mark.settle(700);
  for (const end of ends) await mark.set(end);
  await mark.close();
  return { path, bytes: await readFile(path) };
}

function flipped(bytes: Uint8Array, bits: readonly number[]): Uint8Array {
  const damaged = Uint8Array.from(bytes);
  for (const bit of bits) damaged[bit >> 3] = (damaged[bit >> 3] ?? 0) ^ (1 << (bit & 7));
  return damaged;
}

describe("the mark of a journal", () => {
  test("asks for nothing while it is new, and for what was noted last", async () => {
    const path = join(await createFolder(), "mark");
    const mark = await JournalMark.open(path);
    expect(mark.end).toBe(0);
    for (const end of [10, 20, 30]) {
      await mark.set(end);
      expect(await openEnd(`${path}.copy`, await readFile(path))).toBe(end);
    }
    await mark.close();
  });

  test("is made whole, so that it takes every later write on a full disk", async () => {
    const { bytes } = await createMark([800]);
    expect(bytes.length).toBe(4096 + LINE_BYTES);
  });

  test("with one bit flipped in either line asks for what the other says", async () => {
    const { path, bytes } = await createMark();
    for (const offset of LINE_OFFSETS) {
      for (let bit = 0; bit < LINE_BYTES * 8; bit += 1)
        expect(await openEnd(path, flipped(bytes, [8 * offset + bit])), `bit ${bit} from ${offset}`).toBe(700);
    }
  });

  test("damaged in both lines is refused, and left as it is", async () => {
    const { path, bytes } = await createMark();
    for (let bit = 0; bit < LINE_BYTES * 8; bit += 1) {
      const damaged = flipped(
        bytes,
        LINE_OFFSETS.map((offset) => 8 * offset + bit),
      );
      expect(await openCode(path, damaged), `bit ${bit}`).toBe("outbox-corrupt");
      expect(await readFile(path)).toEqual(Buffer.from(damaged));
    }
  });

  test("of before has one line: it is read, and refused where it is damaged", async () => {
    const { path, bytes } = await createMark();
    const line = bytes.subarray(0, LINE_BYTES);
    expect(await openEnd(path, line)).toBe(700);
    for (let bit = 0; bit < LINE_BYTES * 8; bit += 1)
      expect(await openCode(path, flipped(line, [bit])), `bit ${bit}`).toBe("outbox-corrupt");
  });

  test("torn anywhere asks for what was noted before that write, or for what it says", async () => {
    const { path, bytes } = await createMark([800, 900]);
    const { bytes: after } = await createMark([800, 900, 1000]);
    const at = LINE_OFFSETS.find(
      (offset) => bytes.subarray(offset).compare(after.subarray(offset), 0, LINE_BYTES) !== 0,
    );
    for (let length = 0; length <= LINE_BYTES; length += 1) {
      const torn = Buffer.from(bytes);
      torn.set(after.subarray(at, (at ?? 0) + length), at);
      expect(await openEnd(path, torn), `${length} bytes`).toBe(length < LINE_BYTES - 1 ? 900 : 1000);
    }
  });

  test("asks for the smaller end where a rewrite was announced, at every stage of it", async () => {
    const { path, bytes } = await createMark([800, 900]);
    const mark = await JournalMark.open(path);
    await mark.announce({ end: 900, next: 300 });
    await mark.close();
    const announced = await readFile(path);
    expect(await openEnd(path, announced)).toBe(300);
    // Between the two lines of the announcement the old file is in place.
    const half = Buffer.concat([announced.subarray(0, 4096), bytes.subarray(4096)]);
    expect([800, 900]).toContain(await openEnd(path, half));
    // The first line of the new file, torn: neither line asks for the end of the old one.
    const torn = Buffer.from(announced);
    torn.set(utf8("0000000000000400 ----"), 0);
    expect(await openEnd(path, torn)).toBe(300);
  });
});

import { readFileSync } from "node:fs";
import { readFile, stat, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { decodeUtf8, utf8 } from "@tallystick/core";
import { describe, expect, test } from "vitest";
import { rejectionCode } from "../../../test/support/errors.ts";
import { Journal, type Position } from "../src/journal.ts";
import { createFolder } from "./support/setup.ts";

async function createPath(): Promise<string> {
  return join(await createFolder(), "journal");
}

/** Opens, reads everything, closes. */
async function recordsOf(path: string): Promise<string[]> {
  const records: string[] = [];
  const journal = await Journal.open(path, (bytes) => records.push(decodeUtf8(bytes)));
  await journal.close();
  return records;
}

/** A journal of these frames, each of these records. */
async function write(path: string, frames: readonly (readonly string[])[]): Promise<void> {
  const journal = await Journal.open(path, () => undefined);
  for (const frame of frames) await Promise.all(frame.map((text) => journal.append(utf8(text))));
  await journal.close();
}

const FRAMES = [["one", "two"], ["three"], ["four", "five", ""]];
const RECORDS = FRAMES.flat();

describe("Journal", () => {
  test("gives back what was appended, in order, after it was opened again", async () => {
    const path = await createPath();
    await write(path, FRAMES);
    expect(await recordsOf(path)).toEqual(RECORDS);
    await write(path, [["six"]]);
    expect(await recordsOf(path)).toEqual([...RECORDS, "six"]);
  });

  test("syncs what is handed in at once together", async () => {
    const path = await createPath();
    const alone = await createPath();
    await write(path, [Array.from({ length: 50 }, (_, at) => `record ${at}`)]);
    await write(
      alone,
      Array.from({ length: 50 }, (_, at) => [`record ${at}`]),
    );
    expect((await stat(alone)).size - (await stat(path)).size).toBe(49 * 32);
  });

  test("is for its owner alone", async () => {
    const path = await createPath();
    await write(path, FRAMES);
    expect((await stat(path)).mode & 0o777).toBe(0o600);
  });

  test("cut off anywhere, gives the whole frames before the cut", async () => {
    const path = await createPath();
    await write(path, FRAMES);
    const whole = await readFile(path);
    const ends = [0, 2, 3, 6];
    for (let length = 0; length <= whole.length; length += 1) {
      await writeFile(path, whole.subarray(0, length));
      const records = await recordsOf(path);
      expect(RECORDS.slice(0, records.length)).toEqual(records);
      expect(ends).toContain(records.length);
      // What was torn is gone, so that the next frame follows the last whole one.
      await write(path, [["next"]]);
      expect(await recordsOf(path)).toEqual([...records, "next"]);
    }
  });

  test("with any one bit flipped is refused, and left as it is", async () => {
    const path = await createPath();
    await write(path, FRAMES);
    const whole = await readFile(path);
    for (let bit = 0; bit < whole.length * 8; bit += 1) {
      const damaged = Buffer.from(whole);
      damaged[bit >> 3] = (damaged[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      await writeFile(path, damaged);
      expect(await rejectionCode(Journal.open(path, () => undefined)), `bit ${bit}`).toBe("outbox-corrupt");
      expect(await readFile(path)).toEqual(damaged);
    }
  });

  test.each([1, 2, 3, 4])("a last frame that lacks its %ith sector is torn: a crash does that", async (sector) => {
    const path = await createPath();
    const text = "x".repeat(400);
    await write(path, [["kept"], [text, text, text, text, text]]);
    const whole = await readFile(path);
    whole.fill(0, sector * 512, Math.min(whole.length, (sector + 1) * 512));
    await writeFile(path, whole);
    expect(await recordsOf(path)).toEqual(["kept"]);
  });

  test("a lost sector before the last frame is damage, zeros or not", async () => {
    const path = await createPath();
    const text = "x".repeat(600);
    await write(path, [[text], [text, text], ["last"]]);
    const whole = await readFile(path);
    for (const sector of [0, 1, 2]) {
      const damaged = Buffer.from(whole);
      damaged.fill(0, sector * 512, (sector + 1) * 512);
      await writeFile(path, damaged);
      expect(await rejectionCode(Journal.open(path, () => undefined)), `sector ${sector}`).toBe("outbox-corrupt");
    }
  });

  test("zeros after the last frame are cut off: the file grew before its bytes came", async () => {
    const path = await createPath();
    await write(path, FRAMES);
    await truncate(path, (await stat(path)).size + 4096);
    expect(await recordsOf(path)).toEqual(RECORDS);
  });

  test("a record that changes on disk after it was synced is not read as another", async () => {
    const path = await createPath();
    const journal = await Journal.open(path, () => undefined);
    const position = await journal.append(utf8("the record"));
    const bytes = await readFile(path);
    bytes[position.offset + 2] = (bytes[position.offset + 2] ?? 0) ^ 4;
    await writeFile(path, bytes);
    expect(await rejectionCode(journal.read(position))).toBe("outbox-corrupt");
    await journal.close();
  });

  test("takes nothing more once it is closed", async () => {
    const journal = await Journal.open(await createPath(), () => undefined);
    await journal.close();
    expect(await rejectionCode(journal.append(utf8("late")))).toBe("client-closed");
  });

  test("a rewrite keeps what it is given, and what was appended meanwhile comes after it", async () => {
    const path = await createPath();
    const journal = await Journal.open(path, () => undefined);
    const positions: Position[] = [];
    await Promise.all(
      ["a", "b", "c"].map((text) => journal.append(utf8(text), (position) => positions.push(position))),
    );
    const during: Promise<Position>[] = [journal.append(utf8("d"), (position) => positions.push(position))];
    const rewriting = journal.rewrite(
      function* () {
        during.push(journal.append(utf8("e")));
        for (const position of positions.slice(1)) yield journal.read(position);
        during.push(journal.append(utf8("f")));
      },
      (moved) => positions.splice(0, positions.length, ...moved),
    );
    during.push(journal.append(utf8("g")));
    await rewriting;
    const moved = await Promise.all(positions.slice(0, 2).map((position) => journal.read(position)));
    expect(moved.map((bytes) => decodeUtf8(bytes))).toEqual(["b", "c"]);
    await Promise.all(during);
    await journal.close();
    const records = await recordsOf(path);
    expect(records).toEqual(["b", "c", "d", "g", "e", "f"]);
  });

  test("a marked one is opened at every stage of a rewrite, whichever of both files is in place", async () => {
    const path = await createPath();
    const options = { marked: true };
    const journal = await Journal.open(path, () => undefined, options);
    for (const text of ["a".repeat(500), "b", "c"]) await journal.append(utf8(text));
    const old = await readFile(path);
    const marks: string[] = [];
    const marked = async (): Promise<void> => void marks.push(await readFile(`${path}.mark`, "latin1"));
    await marked();
    // What is announced shows once the new file is written: the mark is read until it says so.
    const rewriting = journal.rewrite(
      () => [utf8("b"), utf8("c")],
      () => marks.push(readFileSync(`${path}.mark`, "latin1")),
    );
    await rewriting;
    await marked();
    await journal.close();
    const rewritten = await readFile(path);
    const [before = "", announced = "", after = ""] = marks;
    const opens = async (file: Uint8Array, mark: string): Promise<string | undefined> => {
      await Promise.all([writeFile(path, file), writeFile(`${path}.mark`, mark)]);
      return rejectionCode(Journal.open(path, () => undefined, options).then(async (opened) => opened.close()));
    };
    expect(rewritten.length).toBeLessThan(old.length);
    expect(await opens(old, before)).toBeUndefined();
    expect(await opens(old, announced)).toBeUndefined();
    expect(await opens(rewritten, announced)).toBeUndefined();
    expect(await opens(rewritten, after)).toBeUndefined();
    expect(await opens(rewritten, before)).toBe("outbox-corrupt");
    expect(await opens(rewritten.subarray(0, -1), announced)).toBe("outbox-corrupt");
  });

  test("a rewrite that fails leaves the journal as it was", async () => {
    const path = await createPath();
    const journal = await Journal.open(path, () => undefined);
    await journal.append(utf8("a"));
    const failing = journal.rewrite(
      function* () {
        yield Promise.reject(new Error("unreadable"));
      },
      () => undefined,
    );
    expect(await rejectionCode(failing)).toBe("audit-unavailable");
    await journal.append(utf8("b"));
    await journal.close();
    expect(await recordsOf(path)).toEqual(["a", "b"]);
  });
});

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  type ImportProgress,
  LinesDigest,
  readLines,
  readProgress,
  surveyFile,
  writeProgress,
} from "../src/imported-file.ts";

let folder: string;
let path: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "tallystick-cli-"));
  path = join(folder, "lines.log");
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

async function linesOf(content: string | Uint8Array): Promise<string[]> {
  await writeFile(path, content);
  return [...readLines(path)];
}

describe("readLines", () => {
  test.each([
    ["nothing", "", []],
    ["one line without an end", "a", ["a"]],
    ["a blank line", "\n", [""]],
    ["lines, the last with an end", "a\n\nb\n", ["a", "", "b"]],
    ["a mark of byte order, once", "\uFEFFa\n\uFEFFb", ["a", "\uFEFFb"]],
    ["ends as other systems write them", "a\r\nb", ["a\r", "b"]],
  ])("gives %s", async (_what, content, lines) => {
    expect(await linesOf(content)).toEqual(lines);
  });

  test("shows octets that are no UTF-8 as marks", async () => {
    expect(await linesOf(Uint8Array.of(0x61, 0xff, 0x62, 10, 0xc3))).toEqual(["a\uFFFDb", "\uFFFD"]);
  });

  test("reads characters and lines across its parts, and cuts a line that is too long", async () => {
    const long = `${"x".repeat(1_048_575)}ö`;
    const longer = "y".repeat(3_000_000);
    const lines = await linesOf(`${long}\nshort\n${longer}\nö\n`);
    expect(lines.map((line) => line.length)).toEqual([1_048_576, 5, 1_048_576, 1]);
    expect([lines[1], lines[3]]).toEqual(["short", "ö"]);
  });
});

function progressOf(lines: readonly string[]): ImportProgress {
  const digest = new LinesDigest();
  for (const line of lines) digest.add(line);
  return {
    log: "keys",
    lastIndex: 7,
    lines: lines.length,
    digest: digest.hex(),
    format: "openssh",
    year: 2025,
    utcOffsetMinutes: 0,
  };
}

describe("surveyFile", () => {
  test("knows a file that goes on from what was imported before", async () => {
    await writeFile(path, "\na\nb\nc\n");
    expect(surveyFile(path, undefined)).toEqual({ lines: 4, firstLine: "a", continues: false });
    expect(surveyFile(path, progressOf(["", "a"])).continues).toBe(true);
    expect(surveyFile(path, progressOf(["", "a", "b", "c"])).continues).toBe(true);
  });

  test("knows another file, and one that was cut", async () => {
    await writeFile(path, "a\nb\n");
    expect(surveyFile(path, progressOf(["a", "c"])).continues).toBe(false);
    expect(surveyFile(path, progressOf(["a", "b", "c"])).continues).toBe(false);
    expect(surveyFile(path, progressOf(["a\nb"])).continues).toBe(false);
  });
});

describe("progress", () => {
  test("comes back as it was written", async () => {
    const file = join(folder, "progress.json");
    await writeProgress(file, progressOf(["a"]));
    expect(await readProgress(file)).toEqual(progressOf(["a"]));
  });

  test.each(["", "{", "null", "[]", '{"lines":"1"}'])("%j is no progress: everything is sent again", async (text) => {
    const file = join(folder, "progress.json");
    await writeFile(file, text);
    expect(await readProgress(file)).toBeUndefined();
    expect(await readProgress(join(folder, "missing.json"))).toBeUndefined();
  });
});

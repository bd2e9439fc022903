/** The list of what this project is held to, lines.txt, and the names by which tests refer to it. */
import { readFileSync } from "node:fs";

/**
 * One line of the list.
 *
 * `later` lines come with a part that is not there yet; `argued` says why a line does not apply.
 */
export interface ConformanceLine {
  readonly id: number;
  readonly level: string;
  readonly title: string;
  readonly section: string;
  readonly later: boolean;
  readonly argued?: string;
}

/** Reads lines.txt. */
export function readLines(): readonly ConformanceLine[] {
  return parseLines(readFileSync(new URL("lines.txt", import.meta.url), "utf8"));
}

/**
 * Parses the list: `## section`, below it perhaps `comes with the mirror`, then a line each: `C-17 M title`. A line that
 * does not apply is followed by `argued: reason`. What stands above the first section is for readers.
 */
export function parseLines(text: string): readonly ConformanceLine[] {
  const [, ...sections] = text.split(/^## /m);
  return sections.flatMap((section) => {
    const [name = "", ...rows] = section.trimEnd().split("\n");
    const later = rows[0] === "comes with the mirror";
    return (later ? rows.slice(1) : rows).reduce<ConformanceLine[]>((lines, row) => {
      const reason = /^argued: (.+)$/.exec(row)?.[1];
      const before = lines.at(-1);
      if (reason === undefined) return [...lines, { ...parseLine(row), section: name, later }];
      if (before === undefined) throw new Error(`a reason for no line: ${row}`);
      return [...lines.slice(0, -1), { ...before, argued: reason }];
    }, []);
  });
}

function parseLine(row: string): Pick<ConformanceLine, "id" | "level" | "title"> {
  const [, id, level, title] = /^C-([1-9][0-9]*) ([MSOD](?:\/[MSOD])?) (.+)$/.exec(row) ?? [];
  if (id === undefined || level === undefined || title === undefined) throw new Error(`not a line: ${row}`);
  return { id: Number(id), level, title };
}

const NUMBERS = /^C-[0-9]+(?:(?: to |, | and | )C-[0-9]+)*(?![\w-])/;

/** The lines that a test covers by its name: those at its beginning. `"C-8 to C-10, C-12 refuses…"` are four. */
export function linesNamedBy(testName: string): readonly number[] {
  const named: number[] = [];
  let last = 0;
  for (const [, separator, id] of (NUMBERS.exec(testName)?.[0] ?? "").matchAll(/( to )?(?:, | and | )?C-([0-9]+)/g)) {
    const first = separator === undefined ? Number(id) : last + 1;
    for (last = first; last <= Number(id); last += 1) named.push(last);
    last = Number(id);
  }
  return named;
}

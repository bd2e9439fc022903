/** Every line of the list is tested, argued, or comes with a part that is not there yet. */
import { describe, expect, test } from "vitest";
import { formatConformance } from "../../.config/conformance-line.ts";
import { linesNamedBy, parseLines, readLines } from "./lines.ts";
import { namedIn, readNamedLines } from "./named.ts";
import { formatPage, pathsOf } from "./page.ts";

const LINES_COUNT = 262;
const lines = readLines();
const named = readNamedLines();
const isTested = new Map(lines.map((line) => [line.id, pathsOf(line, named).length > 0]));

describe("the list", () => {
  test("holds every number once, in order", () => {
    expect(lines.map(({ id }) => id)).toEqual(Array.from({ length: LINES_COUNT }, (_, i) => i + 1));
  });

  test("holds no title twice", () => {
    const titles = lines.map(({ title }) => title);
    expect(titles.filter((title, i) => titles.indexOf(title) !== i)).toEqual([]);
  });

  test("is covered: each line has a test, a reason why not, or comes later", () => {
    const open = lines.filter(({ id, argued, later }) => isTested.get(id) !== true && argued === undefined && !later);
    expect(open.map(({ id, title }) => `C-${id} ${title}`)).toEqual([]);
  });

  test("gives no reason for a line that is tested", () => {
    const both = lines.filter(({ id, argued }) => isTested.get(id) === true && argued !== undefined);
    expect(both.map(({ id }) => id)).toEqual([]);
  });

  test("makes docs/reference/conformance.md", async () => {
    await expect(formatPage(lines, named)).toMatchFileSnapshot("../../docs/reference/conformance.md");
  });
});

describe("the names of tests", () => {
  test("hold numbers of the list only, each once", () => {
    const wrong = named.filter(({ lines: of }) => new Set(of).size < of.length || of.some((id) => !isTested.has(id)));
    expect(wrong).toEqual([]);
  });

  test.each([
    ["C-8 refuses", [8]],
    ["C-8, C-9 refuses", [8, 9]],
    ["C-8 C-9 and C-12 refuses", [8, 9, 12]],
    ["C-8 to C-11 refuses", [8, 9, 10, 11]],
    ["C-8 to C-10, C-12 refuses C-13", [8, 9, 10, 12]],
    ["C-8 to C-8 is one", [8]],
    ["C-8 C-8 is doubled", [8, 8]],
    ["C-262: a colon may follow", [262]],
    ["C-262nd", []],
    ["refuses C-8", []],
    ["CRC-8", []],
    ["", []],
  ])("%j names %j", (name, expected) => {
    expect(linesNamedBy(name)).toEqual(expected);
  });

  test("are string literals of any kind; comments name nothing", () => {
    const source = `// C-1\ntest("C-2 a's", f);\ntest.each([["C-3 b"]])('C-4 %s', f);\ntest(\`C-5 \${x}\`, f); /* C-6 */ "x C-7"`;
    expect(namedIn("a.test.ts", source).map(({ name }) => name)).toEqual(["C-2 a's", "C-3 b", "C-4 %s", "C-5 ${x}"]);
  });
});

describe("parseLines", () => {
  test("takes sections, lines, parts that come later and reasons", () => {
    expect(
      parseLines("for readers\n\n## a\nC-1 M b\nargued: c\nC-2 O/D d\n\n## e\ncomes with the mirror\nC-3 S f\n"),
    ).toEqual([
      { id: 1, level: "M", title: "b", section: "a", later: false, argued: "c" },
      { id: 2, level: "O/D", title: "d", section: "a", later: false },
      { id: 3, level: "S", title: "f", section: "e", later: true },
    ]);
  });

  test.each(["C-01 M a", "C-1 X a", "C-1 M", "1 M a", "argued: no line above"])("refuses the row %j", (row) => {
    expect(() => parseLines(`## a\n${row}\n## b\nC-2 M b\n`)).toThrow(row);
  });
});

describe("the count of npm test", () => {
  const four = parseLines("## a\nC-1 M b\nC-2 M c\nargued: d\nC-3 M e\n## f\ncomes with the mirror\nC-4 S g\n");

  test("says what was tested, what is argued and what comes later", () => {
    const count = formatConformance(four, { passed: new Set([1, 3]), failed: new Set() });
    expect(count).toBe("conformance: 4 lines, 2 tested, 1 argued, 1 to come with the mirror\n");
  });

  test("names the lines whose tests failed or did not run", () => {
    const count = formatConformance(four, { passed: new Set([1]), failed: new Set([1]) });
    expect(count).toMatch(/ 0 tested, .*; not covered by this run: C-1 C-3\n$/);
  });

  test("counts what was to come once it is tested", () => {
    const count = formatConformance(four, { passed: new Set([1, 3, 4]), failed: new Set() });
    expect(count).toMatch(/ 3 tested, 1 argued, 0 to come with the mirror\n$/);
  });
});

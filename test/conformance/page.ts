/** docs/reference/conformance.md, made from the list and from the names of the tests. */
import type { ConformanceLine } from "./lines.ts";
import type { NamedLines } from "./named.ts";

const INTRODUCTION = `# Conformance

What Tallystick is held to: the C2SP specifications, RFC 6962 and RFC 9162, and what they leave open. This page is made
from [the list](../../test/conformance/lines.txt) and from the names of the tests: \`npm run -s test:unit -- test/conformance -u\`
makes it anew.

Levels: **M** a specification says so, **S** it recommends so, **O** it is silent and this is our choice, **D** others do
differently ([how](../decisions/0030-differences-from-other-implementations.md)).

A test names the lines that it covers at the beginning of its name: \`C-8\`, \`C-8, C-9\` or \`C-8 to C-11\`. Tests of the slow
suite do not count. A test fails when

- a number is missing: the list holds C-1 to C-262 in this order;
- something is doubled: two lines have one number or one title, a test names a line twice, or a line has both a test and a
  reason why it has none;
- a line is no longer tested: no test names it, nothing is said why, and it does not come with a later part;
- a test names a line that the list does not hold.

Vectors of other implementations are used whole, where they are there: [the table](../../test/conformance/vectors.ts) says which
test reads which file, and a test counts every row.

\`npm test\` says near its end how many lines its own run covered: those with a test that ran and passed, none that failed.
`;

/** Formats the page. */
export function formatPage(lines: readonly ConformanceLine[], named: readonly NamedLines[]): string {
  const sections = [...new Set(lines.map(({ section }) => section))];
  const tables = sections.map((section) => {
    const rows = lines.filter((line) => line.section === section).map((line) => formatRow(line, pathsOf(line, named)));
    return `\n## ${section}\n\n| line | level | | verdict |\n|---|---|---|---|\n${rows.join("")}`;
  });
  return `${INTRODUCTION}${tables.join("")}`;
}

/** The files of the tests that name a line. */
export function pathsOf({ id }: ConformanceLine, named: readonly NamedLines[]): readonly string[] {
  return [...new Set(named.filter(({ lines }) => lines.includes(id)).map(({ path }) => path))];
}

function formatRow(line: ConformanceLine, paths: readonly string[]): string {
  return `| C-${line.id} | ${line.level} | ${line.title} | ${formatVerdict(line, paths)} |\n`;
}

function formatVerdict({ argued, later }: ConformanceLine, paths: readonly string[]): string {
  if (paths.length > 0) return `tested: ${paths.map(formatPath).join(", ")}`;
  if (argued !== undefined) return `does not apply: ${argued}`;
  return later ? "comes with the mirror" : "not tested";
}

/** `packages/core/test/note.test.ts` reads `core/note`. */
function formatPath(path: string): string {
  return `[${path
    .replace(/^(packages|test)\//, "")
    .replace("/test/", "/")
    .replace(".test.ts", "")}](../../${path})`;
}

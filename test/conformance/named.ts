/** Which lines of the list the tests name, read from the sources. */
import { globSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { linesNamedBy } from "./lines.ts";

/** Names in a test file: what a test says of itself begins with its numbers, and nothing else begins so. */
export interface NamedLines {
  /** From the root of the repository. */
  readonly path: string;
  readonly name: string;
  readonly lines: readonly number[];
}

const root = fileURLToPath(new URL("../../", import.meta.url));

/** Reads the names of all tests that `npm test` runs; those of the slow suite come on top and do not count. */
export function readNamedLines(): readonly NamedLines[] {
  const paths = globSync(["packages/*/test/**/*.test.ts", "test/**/*.test.ts"], {
    cwd: root,
    exclude: ["**/node_modules/**", "**/fixtures/**", "**/*.slow.test.ts", "test/conformance/conformance.test.ts"],
  });
  return paths.toSorted().flatMap((path) => namedIn(path, readFileSync(`${root}${path}`, "utf8")));
}

/** The names in one file: its string literals that begin with a number. */
export function namedIn(path: string, source: string): readonly NamedLines[] {
  return [...source.matchAll(/(["'`])(C-[0-9](?:(?!\1)[^\\\n]|\\.)*)\1/g)].map(([, , name = ""]) => ({
    path,
    name,
    lines: linesNamedBy(name),
  }));
}

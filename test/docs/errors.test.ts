/** docs/reference/errors.md has every code there is, who gives it and with which status, and no other. */
import { readFile, readdir } from "node:fs/promises";
import { join, resolve } from "node:path";
import { expect, test } from "vitest";
import { PROBLEMS as LOG_PROBLEMS } from "../../packages/server/src/problem.ts";
import { KINDS as SESSION_PROBLEMS } from "../../packages/sessions/src/http-problem.ts";
import { KINDS as WITNESS_PROBLEMS } from "../../packages/witness/src/problem.ts";

const ROOT = resolve(import.meta.dirname, "../..");

/** Where each union of codes stands, in the order in which the page names them. */
const UNIONS = [
  { giver: "core", file: "packages/core/src/error.ts", union: "TlogErrorCode" },
  { giver: "events", file: "packages/events/src/error.ts", union: "EventErrorCode" },
  { giver: "storage", file: "packages/storage/src/error.ts", union: "StorageErrorCode" },
  { giver: "log", file: "packages/log/src/error.ts", union: "LogErrorCode" },
  { giver: "server", file: "packages/server/src/error.ts", union: "ServerErrorCode" },
  { giver: "client", file: "packages/client/src/error.ts", union: "ClientErrorCode" },
  { giver: "sessions", file: "packages/sessions/src/error.ts", union: "SessionErrorCode" },
  { giver: "sessions", file: "packages/sessions/src/http-problem.ts", union: "HttpProblemCode" },
  { giver: "witness", file: "packages/witness/src/error.ts", union: "WitnessErrorCode" },
  { giver: "audit", file: "packages/events/src/leaf-audit.ts", union: "FindingCode" },
  { giver: "audit", file: "packages/sessions/src/replay-report.ts", union: "SessionFindingCode" },
  { giver: "fsck", file: "packages/log/src/fsck/report.ts", union: "FsckCode" },
] as const;

/** The codes of each union as its source says; a union may take another one with exceptions. */
async function codesByUnion(): Promise<Map<string, string[]>> {
  const all = new Map<string, string[]>();
  for (const { file, union } of UNIONS) {
    const source = await readFile(join(ROOT, file), "utf8");
    const body = new RegExp(`^export type ${union} =([^;]*);`, "m").exec(source)?.[1] ?? "";
    const own = [...body.matchAll(/^\s*\| "([a-z-]+)"/gm)].map(([, code = ""]) => code);
    const [, taken = "", without = ""] = /Exclude<(\w+), ([^>]*)>/.exec(body) ?? [];
    const codes = [...own, ...(all.get(taken) ?? []).filter((code) => !without.includes(`"${code}"`))];
    // A source that this does not understand must not pass as one without codes.
    if (codes.length === 0) throw new Error(`${file}: no codes found in ${union}`);
    all.set(union, codes);
  }
  return all;
}

/** Of each code the line that belongs under its heading. */
async function expectedLines(): Promise<Record<string, string>> {
  const unions = await codesByUnion();
  const codes = new Set(["internal", ...[...unions.values()].flat()]);
  return Object.fromEntries(
    [...codes].toSorted().map((code) => {
      const unionsOfCode = UNIONS.filter(({ union }) => unions.get(union)?.includes(code));
      const givers = [...new Set(unionsOfCode.map(({ giver }) => giver))];
      const statuses = [
        { by: "log", problems: LOG_PROBLEMS },
        { by: "guard", problems: SESSION_PROBLEMS },
        { by: "witness", problems: WITNESS_PROBLEMS },
      ].flatMap(({ by, problems }) => {
        const kind = Object.entries(problems).find(([known]) => known === code)?.[1];
        return kind === undefined ? [] : [`${by} ${kind.status}`];
      });
      const parts = [givers.join(", "), statuses.length === 0 ? "" : `HTTP: ${statuses.join(", ")}`];
      return [code, `_${parts.filter((part) => part !== "").join("; ")}_`];
    }),
  );
}

const page = await readFile(join(ROOT, "docs/reference/errors.md"), "utf8");
const sections = [...page.matchAll(/^## (.*)\n\n(.*)\n\n([^#]*)/gm)].map(([, code = "", line = "", text = ""]) => ({
  code,
  line,
  text: text.trim(),
}));

test("the page has a heading for every code, with who gives it and the status it has, and no other", async () => {
  expect(Object.fromEntries(sections.map(({ code, line }) => [code, line]))).toEqual(await expectedLines());
});

test("the headings are in alphabetical order, none stands there twice, and each says something", () => {
  const codes = sections.map(({ code }) => code);
  expect(codes).toEqual([...new Set(codes)].toSorted());
  expect(page.match(/^#+ /gm)).toHaveLength(codes.length + 1);
  expect(sections.filter(({ text }) => text.length < 20)).toEqual([]);
});

test("every status table has only codes of the page", () => {
  const codes = sections.map(({ code }) => code);
  const inTables = [LOG_PROBLEMS, SESSION_PROBLEMS, WITNESS_PROBLEMS].flatMap((problems) => Object.keys(problems));
  expect(inTables.filter((code) => !codes.includes(code))).toEqual([]);
});

test("every code is given somewhere: none is only promised", async () => {
  const sources = (await sourcesOfPackages()).map(withoutDeclarations);
  const unused = [...(await codesByUnion())].flatMap(([union, codes]) =>
    codes.filter((code) => !sources.some((source) => source.includes(`"${code}"`))).map((code) => `${union}: ${code}`),
  );
  expect(unused).toEqual([]);
});

/** Without members of unions and keys of tables: what is left gives a code, or asks for one. */
function withoutDeclarations(source: string): string {
  return source.replaceAll(/^\s*(\| )?"[a-z-]+"(:.*|;?)$/gm, "");
}

async function sourcesOfPackages(): Promise<string[]> {
  const packages = await readdir(join(ROOT, "packages"));
  const folders = packages.map((name) => join(ROOT, "packages", name, "src"));
  const entries = await Promise.all(
    folders.map(async (folder) => readdir(folder, { recursive: true, withFileTypes: true })),
  );
  const files = entries.flat().filter((entry) => entry.isFile() && entry.name.endsWith(".ts"));
  return Promise.all(files.map(async ({ name, parentPath }) => readFile(join(parentPath, name), "utf8")));
}

/** docs/reference/rules.md has every key, default and bound as the parser has them, and its examples are what they say. */
import { readFile, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { allCommands } from "@tallystick/cli";
import { defaultRulesText, parseRules, rulesJsonSchema } from "@tallystick/log";
import { expect, test } from "vitest";
import { runCommand, removeFolder, temporaryFolder } from "../support/processes.ts";

const COMMANDS = await allCommands();

const ROOT = resolve(import.meta.dirname, "../..");
const reference = await readFile(join(ROOT, "docs/reference/rules.md"), "utf8");
const guide = await readFile(join(ROOT, "docs/guides/set-retention.md"), "utf8");

const parse = (text: string) => parseRules(text, { where: "rules.yaml" });
const yamlBlocks = (page: string): string[] =>
  [...page.matchAll(/```yaml\n([\s\S]*?)```/g)].map(([, block = ""]) => block);

type Schema = Readonly<Record<string, unknown>> & {
  readonly required?: readonly string[];
  readonly properties?: Readonly<Record<string, Schema>>;
};

/** The objects of the schema whose keys are fixed, by the heading under which the page has them. */
function records(): Record<string, Schema> {
  const at = (schema: unknown, ...steps: readonly string[]): Schema =>
    steps.reduce<Schema>((inner, step) => inner[step] as Schema, schema as Schema);
  const file = rulesJsonSchema() as Schema;
  const identity = at(file, "properties", "identity", "items");
  return {
    "The file": file,
    "A class": at(file, "properties", "classes", "additionalProperties"),
    "`reads`": at(file, "properties", "reads"),
    "A sender key": at(file, "properties", "senderKeys", "items"),
    "A provider of identities": identity,
    "A grant": at(identity, "properties", "grants", "items"),
  };
}

/** Of each key of a table whether it is required. */
function tableUnder(heading: string): Record<string, boolean> {
  const section = reference.split(`\n### ${heading}\n`)[1]?.split(/\n##+ /)[0] ?? "";
  const rows = [...section.matchAll(/^\| `(\w+)` \|([^|]*)\|/gm)];
  return Object.fromEntries(rows.map(([, key = "", byDefault = ""]) => [key, byDefault.trim() === "required"]));
}

test("every key there is has its row, which says whether it is required, and no row has another", () => {
  for (const [heading, { properties = {}, required = [] }] of Object.entries(records())) {
    const expected = Object.fromEntries(Object.keys(properties).map((key) => [key, required.includes(key)]));
    expect([heading, tableUnder(heading)]).toEqual([heading, expected]);
  }
});

test("every file that the pages show is valid, and the defaults are those of a log without rules", () => {
  const [, defaults = ""] = yamlBlocks(reference);
  expect(parse(defaults)).toEqual(parse(defaultRulesText));
  for (const text of [...yamlBlocks(reference), ...yamlBlocks(guide)]) expect(() => parse(text)).not.toThrow();
  expect(yamlBlocks(guide)).toHaveLength(1);
});

test("the defect that the page shows is told like this", () => {
  const shown = /```text\n(rules\.yaml: line .*)\n```/.exec(reference)?.[1] ?? "nothing is shown";
  expect(() => parse("version: 1\nclasses:\n  auth: { keep: 6 months }")).toThrow(shown);
});

test("the bounds of the page are those of the parser", () => {
  for (const [keep, days] of [
    ["1d", 1],
    ["9999d", 9999],
    ["1y", 365],
    ["100y", 36_500],
  ] as const)
    expect(parse(`version: 1\nother: { keep: ${keep} }`).other.keepDays).toBe(days);
  const schema = JSON.stringify(rulesJsonSchema());
  for (const [words, keyword] of [
    ["at most 256", '"maxProperties":256'],
    ["at most 1,024", '"maxItems":1024'],
    ["at most 16;", '"maxItems":16,'],
  ] as const)
    expect([reference.includes(words), schema.includes(keyword)]).toEqual([true, true]);
});

test("the commands of the guide are commands, with options that they have", () => {
  const lines = guide.match(/(?<=\$ |`)tallystick [a-z][^`\n]*/g) ?? [];
  expect(lines.length).toBeGreaterThan(6);
  const wrong = lines.filter((line) => {
    const command = COMMANDS.find(({ name }) => name === line.split(" ")[1]);
    const options = [...line.matchAll(/--([a-z-]+)/g)].map(([, option = ""]) => option);
    return command === undefined || options.some((option) => !Object.hasOwn(command.options, option));
  });
  expect(wrong).toEqual([]);
});

test("what the guide shows of diff is what diff says of the guide's file and the defaults", async () => {
  const [rules = ""] = yamlBlocks(guide);
  const shown = /\$ tallystick rules diff rules\.yaml\n([\s\S]*?)```/.exec(guide)?.[1] ?? "";
  const folder = await temporaryFolder();
  try {
    await writeFile(join(folder, "default.yaml"), defaultRulesText);
    await writeFile(join(folder, "rules.yaml"), rules);
    const { code, out, err } = await runCommand(folder, ["rules", "diff", "default.yaml", "rules.yaml"]);
    expect({ code, err }).toEqual({ code: 0, err: "" });
    expect(shown).toBe(out);
  } finally {
    await removeFolder(folder);
  }
});

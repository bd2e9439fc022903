/** The published JSON Schema of rules takes what the parser takes, and nothing else but what it says it cannot tell. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { LogError, type RulesDefect, parseRules, rulesJsonSchema } from "@tallystick/log";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { stringify } from "yaml";
import { nearlyRules, validRules } from "./arbitrary-rules.ts";
import { meetsSchema } from "./json-schema-check.ts";

const published: unknown = JSON.parse(
  readFileSync(fileURLToPath(new URL("../../../../docs/reference/rules.schema.json", import.meta.url)), "utf8"),
);

/** From the workspace's folder. Formatting it afterwards is the formatter's. */
const WRITE_ANEW = `node --conditions=ws-source -e 'import("@tallystick/log").then(({ rulesJsonSchema }) =>
  fs.writeFileSync("docs/reference/rules.schema.json", JSON.stringify(rulesJsonSchema())))'`;

/** What rulesJsonSchema() says that it does not tell. */
const BEYOND_SCHEMA = [
  /^expected at most keep/,
  /^expected an index above from/,
  /^overlaps with /,
  /^is the issuer and audience of /,
  /whose host or port cannot be$/,
];

function defectsOf(text: string): readonly RulesDefect[] {
  try {
    parseRules(text, { where: "rules" });
    return [];
  } catch (error) {
    if (!(error instanceof LogError)) throw error;
    return error.details["defects"] as readonly RulesDefect[];
  }
}

describe("rulesJsonSchema", () => {
  test("is what is published", () => {
    expect(published, `to write it anew: ${WRITE_ANEW}`).toEqual(JSON.parse(JSON.stringify(rulesJsonSchema())));
  });

  test("takes all valid rules, as does the parser, in JSON and in YAML alike", () => {
    fc.assert(
      fc.property(validRules, (rules) => {
        expect(meetsSchema(rules, published)).toBe(true);
        const parsed = parseRules(JSON.stringify(rules), { where: "rules" });
        expect(parseRules(stringify(rules), { where: "rules" })).toEqual(parsed);
        expect(parseRules(JSON.stringify(rules, undefined, "\t"), { where: "rules" })).toEqual(parsed);
      }),
      { numRuns: 50 },
    );
  });

  test("takes and refuses the same as the parser", () => {
    const seen = { taken: 0, refused: 0 };
    fc.assert(
      fc.property(nearlyRules, (value) => {
        const defects = defectsOf(JSON.stringify(value));
        const told = defects.filter(({ message }) => !BEYOND_SCHEMA.some((pattern) => pattern.test(message)));
        seen[told.length === 0 ? "taken" : "refused"] += 1;
        expect([meetsSchema(value, published), defects]).toEqual([told.length === 0, defects]);
      }),
      { numRuns: 500 },
    );
    expect(Math.min(seen.taken, seen.refused)).toBeGreaterThan(50);
  });

  test("is not so wide as to take anything: each of these it refuses", () => {
    for (const value of [undefined, null, [], {}, { version: 2 }, { version: 1, clases: {} }])
      expect(meetsSchema(value, published)).toBe(false);
  });
});

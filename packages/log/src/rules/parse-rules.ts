/** From the text of a file to the rules that it states. docs/reference/rules.md */
import { RulesDefects } from "./defects.ts";
import { readLocatedYaml } from "./located-yaml.ts";
import { rulesShape } from "./rules-shape.ts";
import type { Rules } from "./rules.ts";
import type { Json } from "./shape.ts";

/**
 * Parses rules, in YAML 1.2 or JSON. Says all that is wrong with them at once, each with its line and column.
 *
 * Does not say whether they may hold: that is for whoever applies them. Takes at most 256 KiB.
 *
 * @param where - What errors call the text: its path, say.
 * @throws {LogError} `rules-malformed`, with `defects` in its details: each `{line, column, path, message}`.
 * @example
 * const rules = parseRules("version: 1\nclasses: { auth: { keep: 2y, atLeast: 1y } }", { where: "rules.yaml" });
 * ruleOf(rules, "auth").keepDays; // 730
 */
export function parseRules(text: string, { where }: { readonly where: string }): Rules {
  const defects = new RulesDefects();
  const located = readLocatedYaml(text, defects);
  const rules = located === undefined ? undefined : rulesShape.read(located, { path: "", defects });
  if (rules === undefined || defects.any) throw defects.toError(where);
  return rules;
}

/**
 * The published JSON Schema (2020-12) of rules: docs/reference/rules.schema.json.
 *
 * It says all that `parseRules` checks but for this: a promise above the time to keep, a key or an issuer that is there
 * twice, `to` below `from`, and a port or host that cannot be.
 */
export function rulesJsonSchema(): Json {
  return {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    $id: "urn:tallystick:rules:1",
    title: "Tallystick rules",
    ...rulesShape.schema,
  };
}

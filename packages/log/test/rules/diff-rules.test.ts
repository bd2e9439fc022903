import { type DescribedChange, defaultRulesText, diffRules, parseRules } from "@tallystick/log";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { stringify } from "yaml";
import { validRules } from "./arbitrary-rules.ts";

const parse = (text: string) => parseRules(text, { where: "rules" });

/** The changes between two files of which only these lines differ. */
function diff(before: string, after: string): readonly DescribedChange[] {
  return diffRules(parse(`version: 1\n${before}`), parse(`version: 1\n${after}`));
}

const wordsOf = (changes: readonly DescribedChange[]): string[] => changes.map(({ words }) => words);

const KEY = "0123456789abcdef".repeat(4);
const identity = (rest: string): string => `identity: [{ issuer: "https://id.example.com", audience: a, ${rest} }]`;
const ISSUER = 'identities of https://id.example.com for "a"';

describe("diffRules", () => {
  test("finds nothing between files that say the same in other words", () => {
    expect(diffRules(parse(defaultRulesText), parse('{ "version": 1 }'))).toEqual([]);
    expect(
      diff("classes: { a: { keep: 365d } }", "classes: { a: { keep: 1y, erase: on-request } } # the same"),
    ).toEqual([]);
  });

  test("says of a class whether it is kept shorter or longer, and warns where contents go", () => {
    const longer = diff("classes: { a: { keep: 90d } }", "classes: { a: { keep: 1y } }");
    expect(longer).toEqual([
      { kind: "keep", class: "a", before: 90, after: 365, words: "class a: kept longer, 90d → 1y" },
    ]);
    const shorter = diff("classes: { a: { keep: for-ever } }", "classes: { a: { keep: 100y } }");
    expect(shorter).toEqual([
      {
        kind: "keep",
        class: "a",
        before: "for-ever",
        after: 36_500,
        words: "class a: kept shorter, for-ever → 100y",
        warning: expect.stringMatching(/^what is older goes with the next run, for good/),
      },
    ]);
  });

  test("compares what holds: a class that is not named any more comes under the rule for all others", () => {
    const changes = diff("classes: { a: { keep: 6y } }\nother: { keep: 1y }", "classes: {}\nother: { keep: 2y }");
    expect(wordsOf(changes)).toEqual([
      "class a: kept shorter, 6y → 2y",
      "every class that is not named: kept longer, 1y → 2y",
    ]);
    expect(changes[1]).not.toHaveProperty("class");
  });

  test("warns that a shorter promise does not bind backwards, and a longer one cannot be taken back", () => {
    const [shorter] = diff("other: { keep: 2y, atLeast: 2y }", "other: { keep: 2y }");
    expect(shorter).toMatchObject({
      words: "every class that is not named: promised shorter, 2y → nothing",
      warning: "does not bind backwards: what was logged before keeps its promise of 2y",
    });
    const [longer] = diff("other: { keep: 2y }", "other: { keep: 2y, atLeast: 30d }");
    expect(longer).toMatchObject({
      words: "every class that is not named: promised longer, nothing → 30d",
      warning: "cannot be taken back for what is logged under it",
    });
  });

  test("says what changes for persons, readers and officers", () => {
    const before = "classes: { a: { keep: 1y, basis: x } }\nreads: { purpose: required }\ntwoPersons: [erasure, hold]";
    const after = "classes: { a: { keep: 1y, erase: at-expiry } }\ntwoPersons: [hold, rules]";
    expect(wordsOf(diff(before, after))).toEqual([
      "class a: no longer erased at a person's request, only when its time is over",
      'class a: basis "x" → none',
      "readers: need not say what for, required → optional",
      "officers: rules needs a second person",
      "officers: erasure needs no second person any more",
    ]);
    expect(diff(after, before).map(({ kind }) => kind)).toEqual([
      "erase",
      "basis",
      "reads-purpose",
      "two-persons-added",
      "two-persons-removed",
    ]);
  });

  test("says which senders' batches are taken and which are not any more", () => {
    const changes = diff(`senderKeys: [{ publicKey: ${KEY} }]`, `senderKeys: [{ publicKey: ${KEY}, to: 1000 }]`);
    expect(wordsOf(changes)).toEqual([
      "sender 0123456789abcdef… at indexes 0 to 999: its batches are taken",
      "sender 0123456789abcdef… at indexes from 0: its batches are not taken any more",
    ]);
  });

  test("says who gets which role, who loses it, and where a provider's keys are", () => {
    const auditor = "{ claim: groups, has: auditors, role: auditor }";
    const reader = "{ claim: role, has: customer, role: reader, subjectFrom: sub }";
    const one = identity(`grants: [${auditor}]`);
    const both = identity(`jwksUri: "https://id.example.com/k", grants: [${reader}, ${auditor}]`);
    expect(diff("", one)).toMatchObject([
      { kind: "issuer-added", words: `${ISSUER}: its tokens are taken` },
      {
        kind: "grant-added",
        grant: { role: "auditor" },
        words: `${ISSUER}: auditor where groups has "auditors"`,
        warning: "an auditor reads the contents of every entry",
      },
    ]);
    expect(wordsOf(diff(one, both))).toEqual([
      `${ISSUER}: where its keys are, by discovery → https://id.example.com/k`,
      `${ISSUER}: reader of the person in sub where role has "customer"`,
    ]);
    expect(wordsOf(diff(both, one))).toContain(
      `${ISSUER}: no longer reader of the person in sub where role has "customer"`,
    );
    expect(wordsOf(diff(one, ""))).toEqual([`${ISSUER}: its tokens are not taken any more`]);
    expect(
      diff(identity(`grants: [${auditor}, ${reader}]`), identity(`grants: [${reader}, ${auditor}]`)),
    ).toMatchObject([{ kind: "grants-reordered" }]);
  });

  test("of any rules to themselves is nothing, and of two that differ is something in both directions", () => {
    fc.assert(
      fc.property(validRules, validRules, (a, b) => {
        const [before, after] = [parse(stringify(a)), parse(JSON.stringify(b))];
        expect(diffRules(before, parse(JSON.stringify(a)))).toEqual([]);
        const [there, back] = [diffRules(before, after), diffRules(after, before)];
        expect(there.length === 0).toBe(back.length === 0);
        for (const { words } of there) expect(words).toMatch(/^[^\n]+: [^\n]+$/);
      }),
      { numRuns: 50 },
    );
  });
});

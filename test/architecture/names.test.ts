/** Holds exported names to the words of C2SP and RFC 6962, one word for one thing. */
import { describe, expect, test } from "vitest";
import { exportsOf, packageNames, sourceFiles } from "./packages.ts";

interface Synonym {
  readonly never: RegExp;
  readonly say: string;
}

/** Matched against the words of a name, in lower case and joined by spaces: "leaf hash". */
const everywhere: readonly Synonym[] = [
  { never: /\bsth\b|\btree head\b/, say: "checkpoint" },
  { never: /\blog id\b/, say: "origin" },
  { never: /\baudit path\b|\bmembership\b/, say: "inclusion proof" },
  { never: /\b(tree|leaf|leaves) (length|height|count)\b/, say: "tree size" },
  { never: /\b(root|tree) (digest|state)\b/, say: "root hash" },
  { never: /\b(data|entry) tiles?\b/, say: "entry bundle" },
  { never: /\btile (chunk|page|block)\b/, say: "tile" },
  { never: /\bnote body\b/, say: "note text" },
  { never: /\bkid\b|\bkey hash\b/, say: "key ID" },
  { never: /\bendorsements?\b|\bnotary\b|\bthreshold\b/, say: "cosignature, witness, quorum" },
  { never: /\b(write|read) url\b/, say: "submission prefix, monitoring prefix" },
];

/** Words that mean something else further up: the SDK records events, a key store has rows. */
const inCore: readonly Synonym[] = [
  { never: /\b(record|item|row)s?\b/, say: "entry" },
  { never: /\bchunks?\b|\bblocks?\b|\bpages?\b/, say: "tile" },
];

function wordsOf(name: string): string {
  return name
    .replaceAll(/([a-z\d])([A-Z])|([A-Z])(?=[A-Z][a-z])/g, "$1$3 $2")
    .replaceAll("_", " ")
    .toLowerCase();
}

function bannedNames(packageName: string): string[] {
  const synonyms = packageName === "core" ? [...everywhere, ...inCore] : everywhere;
  return sourceFiles(packageName).flatMap(({ path, code }) =>
    exportsOf(code).flatMap((name) =>
      synonyms.filter(({ never }) => never.test(wordsOf(name))).map(({ say }) => `${path} exports ${name}: say ${say}`),
    ),
  );
}

describe("names", () => {
  test.each(packageNames)("%s exports no synonym of a word of the field", (packageName) => {
    expect(bannedNames(packageName)).toEqual([]);
  });

  test.each(packageNames)("no verifier of %s returns a boolean, which could be forgotten", (packageName) => {
    const forgettable = /^export\s+(?:async\s+)?function\s+(verify\w*)[^{;]*?\):\s*(?:Promise<)?boolean\b/gm;
    const found = sourceFiles(packageName).flatMap(({ path, code }) =>
      [...code.matchAll(forgettable)].map((match) => `${path} exports ${match[1]}`),
    );
    expect(found).toEqual([]);
  });
});

describe("wordsOf", () => {
  test.each([
    ["leafHash", "leaf hash"],
    ["parseSTH", "parse sth"],
    ["STHParser", "sth parser"],
    ["TREE_HEAD", "tree head"],
    ["x509KeyHash", "x509 key hash"],
  ])("takes %s apart", (name, words) => {
    expect(wordsOf(name)).toBe(words);
  });
});

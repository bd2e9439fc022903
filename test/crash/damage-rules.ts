/** What may be damaged without anybody's word: what no read ever looks at. Everything else has to be noticed. */
import { expect } from "vitest";
import type { Damage, DamagedLog, LogFile, Outcome } from "./damaged-log.ts";

interface Rule {
  readonly path: RegExp;
  /** Kinds of damage after which the log says what it said before. */
  readonly harmless: readonly Damage["kind"][];
  /** Kinds after which it says something else, and nobody can know. */
  readonly taken?: readonly Damage["kind"][];
}

/** The line feed at the end, and the check line: without these the rest is read, which is whole. */
const TEXT = ["bit", "truncated"] as const;

/** docs/concepts/durability.md says why of each. */
const RULES: readonly Rule[] = [
  // Two slots: the older one, and what lies between them, is not read.
  { path: /\/(high-water|published|mark\.\d+)$/, harmless: ["bit", "truncated"] },
  // Keys behind the mark were promised to nobody; those that unwrap are kept.
  { path: /\/mark\.\d+$/, harmless: ["older"] },
  // The last write may be of rows that follow from the entries, or drop heads that later ones replace: it is done again.
  { path: /leveldb\/\d+\.log$/, harmless: ["truncated"] },
  // Without its last edit, which may be a merge of tables: where the merged ones are still there, they say the same.
  { path: /leveldb\/MANIFEST-\d+$/, harmless: ["bit", "truncated"] },
  // The configuration that an operator writes: what still parses is what is wanted.
  { path: /^server\.json$/, harmless: TEXT, taken: ["bit", "older"] },
  // A whole file of another day. Its tokens were good then.
  { path: /^tokens\.json$/, harmless: TEXT, taken: ["older"] },
  // Where there is none another is made: tickets that wait for a second person are void then.
  { path: /^(approval|identity)\.key$/, harmless: ["removed", ...TEXT] },
  { path: /^(policies\/.*|keys\/.*|master\.key)$/, harmless: TEXT },
];

export function expectNoticed({ file, damage, by, code, message }: Outcome): void {
  const { path, isRead } = file;
  const rules = RULES.filter((rule) => rule.path.test(path));
  const isAllowed =
    (by === "nobody" && (!isRead || rules.some(({ harmless }) => harmless.includes(damage.kind)))) ||
    (by === "unnoticed" && rules.some(({ taken }) => taken?.includes(damage.kind) === true)) ||
    (by !== "nobody" && by !== "unnoticed" && !code.startsWith("SIG"));
  expect.soft(isAllowed, `${path}, ${JSON.stringify(damage)}: ${by} ${message}`).toBe(true);
}

/** Bits at random places, each at most once; all bits where `count` is as many. */
export function sampleBits(bytes: number, count: number): readonly number[] {
  const bits = 8 * bytes;
  if (count >= bits) return Array.from({ length: bits }, (_, bit) => bit);
  const sample = new Set<number>();
  while (sample.size < count) sample.add(Math.floor(Math.random() * bits));
  return [...sample];
}

/** Damages a file in every way but bits. */
export async function tryWhole(log: DamagedLog, file: LogFile): Promise<readonly Outcome[]> {
  const { bytes } = file;
  const damages: Damage[] = [{ kind: "removed" }];
  for (const part of [0, 0.5]) if (bytes > 0) damages.push({ kind: "truncated", bytes: Math.floor(bytes * part) });
  if (bytes > 1) damages.push({ kind: "truncated", bytes: bytes - 1 });
  if (await log.hasOlder(file)) damages.push({ kind: "older" });
  const outcomes: Outcome[] = [];
  for (const damage of damages) outcomes.push(await log.try(file, damage));
  return outcomes;
}

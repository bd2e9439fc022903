/** The documented differences, one by one: each example is of its kind, is judged differently, and of no other kind. */
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { GO_BUILD_TIMEOUT_MS, describeWithGo } from "../go.ts";
import { compare } from "./compare.ts";
import { startPeer } from "./fuzz-test.ts";
import type { Peer } from "./peer.ts";
import { SUBJECTS } from "./subjects.ts";

const PAGE = new URL("../../../docs/decisions/0030-differences-from-other-implementations.md", import.meta.url);

describeWithGo("each documented difference", () => {
  let peer: Peer;

  beforeAll(async () => {
    peer = await startPeer();
  }, GO_BUILD_TIMEOUT_MS);

  afterAll(async () => {
    expect(await peer.close()).toBe(0);
  });

  describe.each(SUBJECTS)("of $name", (subject) => {
    test.each(subject.kinds)("shows in an example: $name", async ({ name, of, example }) => {
      const [opinions = new Map<string, string>()] = await peer.ask([{ code: subject.code, input: example }]);
      const { outcomes } = await compare(subject, example, opinions, peer);
      const differing = outcomes.filter(({ agreed }) => !agreed);
      expect(differing).toEqual(of.map((who) => ({ of: who, agreed: false, kinds: [name] })));
    });
  });
});

test("docs/decisions/0030 lists these kinds and no other, with the subjects and the implementations", () => {
  const page = readFileSync(PAGE, "utf8");
  const [, listed = ""] = /## Found by fuzzing\n(.*?)\n## /s.exec(page) ?? [];
  const rows = [...listed.matchAll(/^\| `([^`]+)` \| ([^|]+) \| ([^|]+) \| [^|]+ \| [^|]+ \|$/gm)];
  expect(rows.map(([, kind, subjects, of]) => `${kind}: ${subjects}: ${of}`)).toEqual(expectedRows());
});

/** Kinds of one name are one, in all subjects that have them. */
function expectedRows(): string[] {
  const kinds = new Map<string, { readonly subjects: Set<string>; readonly of: Set<string> }>();
  for (const subject of SUBJECTS) {
    for (const kind of subject.kinds) {
      const row = kinds.get(kind.name) ?? { subjects: new Set(), of: new Set() };
      kinds.set(kind.name, row);
      row.subjects.add(subject.name);
      for (const who of kind.of) row.of.add(who);
    }
  }
  return [...kinds].map(([name, { subjects, of }]) => `${name}: ${[...subjects].join(", ")}: ${[...of].join(", ")}`);
}

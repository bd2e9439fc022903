/** The documented differences, one by one: each example is of its kind, is judged differently, and of no other kind. */
import { readFileSync } from "node:fs";
import { formatPolicy, utf8 } from "@tallystick/core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { GO_BUILD_TIMEOUT_MS, describeWithGo } from "../go.ts";
import { type Outcome, compare } from "./compare.ts";
import { startPeer } from "./fuzz-test.ts";
import type { Input, Subject } from "./kind.ts";
import type { Peer } from "./peer.ts";
import { LOG, signerOf } from "./signers.ts";
import { SUBJECTS } from "./subjects.ts";
import { POLICY } from "./subjects/policy.ts";
import { TILE_PATH } from "./subjects/tile-path.ts";

const PAGE = new URL("../../../docs/decisions/0030-differences-from-other-implementations.md", import.meta.url);

describeWithGo("each documented difference", () => {
  let peer: Peer;

  beforeAll(async () => {
    peer = await startPeer();
  }, GO_BUILD_TIMEOUT_MS);

  afterAll(async () => {
    expect(await peer.close()).toBe(0);
  });

  async function differing(subject: Subject, input: Input): Promise<readonly Outcome[]> {
    const [opinions = new Map<string, string>()] = await peer.ask([{ code: subject.code, input }]);
    const { outcomes } = await compare(subject, input, opinions, peer);
    return outcomes.filter(({ agreed }) => !agreed);
  }

  describe.each(SUBJECTS)("of $name", (subject) => {
    test.each(subject.kinds)("$covers differs in an example: $name", async ({ name, of, example }) => {
      expect(await differing(subject, example)).toEqual(of.map((who) => ({ of: who, agreed: false, kinds: [name] })));
    });

    test.each(subject.kinds)("without the kind, the example is a fault: $name", async ({ name, of, example }) => {
      const kinds = subject.kinds.filter((kind) => kind.name !== name);
      const faults = (await differing({ ...subject, kinds }, example)).map(({ of, fault }) => [of, typeof fault]);
      expect(faults).toEqual(of.map((who) => [who, "string"]));
    });
  });

  test.each([1, 2, 3, "none"] as const)(
    "a policy that we write is read alike by Tessera, with quorum %s",
    async (quorum) => {
      const witnesses = ["a", "b", "c"].map((name, i) => ({
        name,
        vkeys: [signerOf(name, "ed25519-cosigner").vkey, ...(i === 0 ? [signerOf(name, "mldsa44").vkey] : [])],
        url: `https://${name}.example/witness`,
      }));
      const policy = utf8(formatPolicy({ logs: [{ vkey: LOG.vkey }], witnesses, quorum }));
      expect(POLICY.ours([policy])).toMatch(quorum === "none" ? /^ok 0\(\)$/ : RegExp(`^ok ${quorum}\\(1\\(`));
      expect(await differing(POLICY, [policy])).toEqual([]);
    },
  );

  test("a kind that says too much is a fault, though both sides agree", async () => {
    const agreed = [utf8("tile/0/000")];
    expect(await differing(TILE_PATH, agreed)).toEqual([]);
    const kinds = TILE_PATH.kinds.map((kind) => ("holds" in kind ? { ...kind, holds: () => true } : kind));
    const [outcome] = await differing({ ...TILE_PATH, kinds }, agreed);
    expect(outcome).toMatchObject({ agreed: false, kinds: [] });
    expect(outcome?.fault).toContain("tile-level-above-63 is not what it says");
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

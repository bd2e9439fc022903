/** The documented differences, one by one: each example is of its kind, is judged differently, and of no other kind. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { GO_BUILD_TIMEOUT_MS, describeWithGo } from "../go.ts";
import { compare } from "./compare.ts";
import { startPeer } from "./fuzz-test.ts";
import type { Peer } from "./peer.ts";
import { SUBJECTS } from "./subjects.ts";

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

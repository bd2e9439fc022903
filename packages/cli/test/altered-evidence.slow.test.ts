/** Every single bit of evidence and policies. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { type VerifiedFiles, acceptedAlterations, makeVerifiedFiles, verifyJson } from "./support/alterations.ts";

let files: VerifiedFiles;
beforeAll(async () => {
  files = await makeVerifiedFiles();
});
afterAll(async () => {
  await files.log.remove();
});

test.each([
  ["receipt", 1],
  ["evidence", 1],
  // It is five times as long, and each of its signatures takes longer.
  ["all", 9],
] as const)("no %s with one bit flipped is VERIFIED, tried for every bit or every ninth: %i", async (kind, every) => {
  expect((await verifyJson(files[kind], files.policy)).code).toBe(0);
  const verify = async (altered: string): ReturnType<typeof verifyJson> => verifyJson(altered, files.policy);
  const accepted = await acceptedAlterations({ path: files[kind], verify, every });
  expect([...accepted.keys()]).toEqual([]);
});

test("a policy with any one bit flipped accepts nothing that it did not accept", async () => {
  const original = await verifyJson(files.evidence, files.policy);
  const verify = async (altered: string): ReturnType<typeof verifyJson> => verifyJson(files.evidence, altered);
  const accepted = await acceptedAlterations({ path: files.policy, verify, every: 1 });
  for (const [bit, ran] of accepted) expect([bit, ran]).toEqual([bit, original]);
});

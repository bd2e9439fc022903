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

test.each(["receipt", "evidence"] as const)("no %s with any one bit flipped is VERIFIED", async (kind) => {
  expect((await verifyJson(files[kind], files.policy)).code).toBe(0);
  const verify = async (altered: string): ReturnType<typeof verifyJson> => verifyJson(altered, files.policy);
  const accepted = await acceptedAlterations({ path: files[kind], verify, every: 1 });
  expect([...accepted.keys()]).toEqual([]);
});

/** What was verified, without the list of those who signed it. */
function factsIn(json: string): Readonly<Record<string, unknown>> {
  const { cosignatures: _, ...facts } = JSON.parse(json) as Readonly<Record<string, unknown>>;
  return facts;
}

test("a receipt with every signature and a bit flipped is VERIFIED only where another key of the same signer suffices", async () => {
  const original = await verifyJson(files.all, files.policy);
  expect(original.code).toBe(0);
  const verify = async (altered: string): ReturnType<typeof verifyJson> => verifyJson(altered, files.policy);
  // It is five times as long, and each of its signatures takes longer: every ninth bit.
  const accepted = await acceptedAlterations({ path: files.all, verify, every: 9 });
  const { cosignatures } = JSON.parse(original.out) as { readonly cosignatures: readonly unknown[] };
  for (const [bit, ran] of accepted) {
    expect([bit, factsIn(ran.out)]).toEqual([bit, factsIn(original.out)]);
    // A line of a key that nobody knows, which the name or the ID of this one has become, is passed over.
    const left = (JSON.parse(ran.out) as { readonly cosignatures: readonly unknown[] }).cosignatures;
    expect(cosignatures).toEqual(expect.arrayContaining([...left]));
  }
});

test("a policy with any one bit flipped accepts nothing that it did not accept", async () => {
  const original = await verifyJson(files.evidence, files.policy);
  const verify = async (altered: string): ReturnType<typeof verifyJson> => verifyJson(files.evidence, altered);
  const accepted = await acceptedAlterations({ path: files.policy, verify, every: 1 });
  for (const [bit, ran] of accepted) expect([bit, ran]).toEqual([bit, original]);
});

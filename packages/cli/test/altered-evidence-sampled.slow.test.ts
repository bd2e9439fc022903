/** Evidence and policies with a bit flipped here and there, or cut off; the slow tests flip every single bit. */
import { readFile, writeFile } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type VerifiedFiles, acceptedAlterations, makeVerifiedFiles, verifyJson } from "./support/alterations.ts";

let files: VerifiedFiles;
beforeAll(async () => {
  files = await makeVerifiedFiles();
});
afterAll(async () => {
  await files.log.remove();
});

describe.each(["receipt", "evidence"] as const)("%s", (kind) => {
  test("as it is, is VERIFIED", async () => {
    const { code, out } = await verifyJson(files[kind], files.policy);
    expect([code, JSON.parse(out)]).toMatchObject([0, { verdict: "VERIFIED", index: 1 }]);
  });

  test("with a bit flipped is not VERIFIED", async () => {
    const verify = async (altered: string): ReturnType<typeof verifyJson> => verifyJson(altered, files.policy);
    expect(await acceptedAlterations({ path: files[kind], verify, every: 29 })).toEqual(new Map());
  });

  test("cut off anywhere, or with more after it, is not VERIFIED", async () => {
    const bytes = await readFile(files[kind]);
    const accepted: number[] = [];
    for (let length = 0; length < bytes.length; length += 1) {
      await writeFile(`${files[kind]}.cut`, bytes.subarray(0, length));
      if ((await verifyJson(`${files[kind]}.cut`, files.policy)).code === 0) accepted.push(length);
    }
    // The line end after the last brace is no part of the evidence.
    expect(accepted).toEqual(kind === "evidence" ? [bytes.length - 1] : []);
    for (const more of ["\n", "x", "\0", "\u2014 x AAAA\n", '{"format":"tallystick/evidence@1"}']) {
      await writeFile(`${files[kind]}.more`, Buffer.concat([bytes, Buffer.from(more)]));
      const { code } = await verifyJson(`${files[kind]}.more`, files.policy);
      expect([more, code === 0]).toEqual([more, kind === "evidence" && more === "\n"]);
    }
  });
});

describe("a policy", () => {
  test("with a bit flipped accepts nothing that it did not accept", async () => {
    const original = await verifyJson(files.evidence, files.policy);
    const verify = async (altered: string): ReturnType<typeof verifyJson> => verifyJson(files.evidence, altered);
    const accepted = await acceptedAlterations({ path: files.policy, verify, every: 127 });
    for (const [bit, ran] of accepted) expect([bit, ran]).toEqual([bit, original]);
  });

  test("cut off anywhere trusts no log that is not in it", async () => {
    const bytes = await readFile(files.policy);
    // Comments may come after the quorum's line, which is the last that says something.
    const end = bytes.indexOf("\n", bytes.indexOf("\nquorum ") + 1);
    for (let length = 0; length < end; length += 17) {
      await writeFile(`${files.policy}.cut`, bytes.subarray(0, length));
      expect((await verifyJson(files.evidence, `${files.policy}.cut`)).code).not.toBe(0);
    }
  });
});

describe("evidence of a fork", () => {
  test("is REFUTED, and with a bit flipped proves this fork or none", async () => {
    const original = await verifyJson(files.fork, files.forkPolicy);
    const proven = JSON.parse(original.out) as { step: string; reason: string };
    expect([original.code, proven]).toMatchObject([1, { verdict: "REFUTED", step: "fork", sizes: ["1", "1"] }]);
    const said = new Set<string>();
    const verify = async (altered: string): ReturnType<typeof verifyJson> => {
      const ran = await verifyJson(altered, files.forkPolicy);
      const { verdict, step, reason } = JSON.parse(ran.out) as Record<"verdict" | "step" | "reason", string>;
      if (verdict === "REFUTED" && step === "fork") said.add(reason);
      return ran;
    };
    expect(await acceptedAlterations({ path: files.fork, verify, every: 29 })).toEqual(new Map());
    expect([...said].filter((reason) => reason !== proven.reason)).toEqual([]);
  });
});

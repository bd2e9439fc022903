/** docs/guides/verify-offline.md: its programs, given the receipt that docs/reference/formats.md prints, say what the page says. */
import { spawn } from "node:child_process";
import { readFile, symlink, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { decodeHex } from "@tallystick/core";
import { formatEvidence } from "@tallystick/events";
import { expect, onTestFinished, test } from "vitest";
import { exitOf, removeFolder, temporaryFolder } from "../support/processes.ts";

const ROOT = resolve(import.meta.dirname, "../..");

interface Printed {
  readonly function: string;
  readonly inputs: readonly { readonly proof: string; readonly policy: string; readonly opening: string }[];
}

async function printedReceipt(): Promise<{ proof: string; policy: string; opening: Uint8Array }> {
  const page = await readFile(join(ROOT, "docs/reference/formats.md"), "utf8");
  for (const [, block = ""] of page.matchAll(/```json\n([\s\S]*?)```/g)) {
    if (!block.includes('"verifyReceipt"')) continue;
    const [input] = (JSON.parse(block) as Printed[]).find((each) => each.function === "verifyReceipt")?.inputs ?? [];
    if (input !== undefined) return { ...input, opening: decodeHex(input.opening.slice(2, -1)) };
  }
  throw new Error("the page prints no receipt");
}

async function run(folder: string, program: string): Promise<{ code: number | null; out: string }> {
  const file = join(folder, "program.mjs");
  await writeFile(file, program);
  const child = spawn(process.execPath, ["--conditions=ws-source", file], {
    cwd: folder,
    stdio: ["ignore", "pipe", "inherit"],
  });
  let out = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (out += text));
  return { code: await exitOf(child), out };
}

test("the programs of the guide verify a receipt, and a folder of them", { timeout: 60_000 }, async () => {
  const guide = await readFile(join(ROOT, "docs/guides/verify-offline.md"), "utf8");
  const [one = "", many = "", ...more] = [...guide.matchAll(/```js\n([\s\S]*?)```/g)].map(([, code]) => code ?? "");
  expect(more).toEqual([]);
  const folder = await temporaryFolder();
  onTestFinished(async () => removeFolder(folder));
  await symlink(join(ROOT, "node_modules"), join(folder, "node_modules"));
  const { proof, policy, opening } = await printedReceipt();
  await writeFile(join(folder, "policy.txt"), policy);
  await writeFile(join(folder, "13.evidence.json"), formatEvidence({ proof, opening }));
  await writeFile(join(folder, "a.tlog-proof"), proof);
  await writeFile(join(folder, "b.tlog-proof"), proof.replace("index 1", "index 0"));
  await writeFile(join(folder, "c.tlog-proof"), proof);
  const single = await run(folder, one);
  expect(single.code).toBe(0);
  expect(single.out).toMatch(/type: 'auth\.login'/);
  const { code, out } = await run(folder, many);
  expect(code).toBe(0);
  expect(out.split("\n")).toEqual([
    "a.tlog-proof 1",
    expect.stringMatching(/^b\.tlog-proof inclusion: /),
    "c.tlog-proof 1",
    "",
  ]);
});

/** `witness add-list`, `remove-list`, and what a witness that serves does at SIGHUP. */
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createSigner, sha256, utf8 } from "@tallystick/core";
import { expect, onTestFinished, test } from "vitest";
import { exitOf, removeFolder, startCommand, temporaryFolder } from "../../../test/support/processes.ts";
import { runHere } from "./support/run-here.ts";

const { vkey } = createSigner({ name: "log.example/a", type: "ed25519", seed: sha256(utf8("log.example/a")) });
const LIST = `logs/v0\nvkey ${vkey}\nqpd 24\n`;

async function witnessFolder(): Promise<{ folder: string; dir: string; list: string }> {
  const folder = await temporaryFolder();
  onTestFinished(() => removeFolder(folder));
  const dir = join(folder, "w1");
  expect((await runHere(["witness", "init", "--dir", dir, "--name", "witness.example/w1"])).code).toBe(0);
  return { folder, dir, list: join(folder, "list.1") };
}

test("a list is added and removed, in words and as JSON", async () => {
  const { dir, list } = await witnessFolder();
  await writeFile(list, LIST);
  const added = await runHere(["witness", "add-list", list, "--dir", dir]);
  expect(added).toMatchObject({ code: 0, err: "", out: expect.stringMatching(/ logs in it now: 1\n$/) });
  const again = await runHere(["witness", "add-list", list, "--dir", dir, "--json"]);
  expect(JSON.parse(again.out)).toEqual({ path: list, logs: [{ vkey, origin: "log.example/a", qpd: 24 }] });
  expect(await runHere(["witness", "remove-list", list, "--dir", dir])).toMatchObject({ code: 0, err: "" });
  const gone = await runHere(["witness", "remove-list", list, "--dir", dir, "--json"]);
  expect([gone.code, JSON.parse(gone.out)]).toMatchObject([2, { error: { code: "log-list-missing" } }]);
});

test.each(["add-list", "remove-list"])("%s takes one file", async (action) => {
  const { dir } = await witnessFolder();
  for (const words of [[], ["a", "b"]]) {
    const { code, err } = await runHere(["witness", action, ...words, "--dir", dir]);
    expect([code, err]).toEqual([3, expect.stringContaining(`expected ${action}: one FILE`)]);
  }
});

test("a file that is no list is refused, with the line", async () => {
  const { dir, list } = await witnessFolder();
  await writeFile(list, "logs/v0\n\nvkey BANANAS\nqpd 1\n");
  const { code, out } = await runHere(["witness", "add-list", list, "--dir", dir, "--json"]);
  expect(code).toBe(2);
  expect(JSON.parse(out)).toEqual({
    error: { code: "log-list-malformed", message: expect.stringContaining(`${list}: line 3: `) },
  });
});

test("SIGHUP has the lists read again, which stderr tells; a list that cannot be used ends nothing", async () => {
  const { folder, dir, list } = await witnessFolder();
  await writeFile(list, "logs/v0\n");
  await runHere(["witness", "add-list", list, "--dir", dir]);
  const child = startCommand(folder, ["witness", "serve", "--dir", dir, "--listen", "127.0.0.1:0", "--json"]);
  onTestFinished(async () => {
    child.kill("SIGTERM");
    expect(await exitOf(child)).toBe(0);
  });
  const { stdout, stderr } = child;
  if (stdout === null || stderr === null) throw new Error("no streams");
  let told = "";
  stderr.on("data", (part: Buffer) => (told += part.toString()));
  const [line] = (await once(stdout, "data")) as [Buffer];
  const { url } = JSON.parse(line.toString()) as { url: string };
  const hangUpUntil = async (word: string): Promise<void> => {
    child.kill("SIGHUP");
    await expect.poll(() => told, { timeout: 20_000, interval: 20 }).toContain(word);
  };
  await writeFile(list, "logs\n");
  await hangUpUntil("a list of logs cannot be used");
  await writeFile(list, LIST);
  await hangUpUntil("took up a log of a list");
  expect(
    told
      .split("\n")
      .slice(0, 2)
      .map((entry) => JSON.parse(entry) as object),
  ).toMatchObject([
    { level: "error", path: list, error: expect.stringContaining("line 1") },
    { level: "info", origin: "log.example/a", qpd: 24 },
  ]);
  const { logs } = (await (await fetch(`${url}/readyz`)).json()) as { logs: number };
  expect(logs).toBe(1);
});

import { readFileSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { addList, addLog, initWitness, listLogs, removeLog } from "../src/index.ts";
import { KINDS } from "../src/problem.ts";
import { temporaryFolder } from "../../../test/support/temporary-folder.ts";
import { TestLog } from "./test-log.ts";
import { TestWitness, witnessFolder } from "./test-witness.ts";

function docOf(path: string): string {
  return readFileSync(fileURLToPath(new URL(`../../../docs/${path}`, import.meta.url)), "utf8");
}

const reference = docOf("reference/config-witness.md");

test("the configuration in the reference is what init and addLog make", async () => {
  const [, text = ""] = /```json\n([^`]*)```/.exec(reference) ?? [];
  const config = JSON.parse(text) as { name: string; logs: [{ vkeys: [string]; url: string }] };
  const [{ vkeys, url }] = config.logs;
  const dir = temporaryFolder();
  await initWitness({ dir, name: config.name });
  await addLog({ dir, vkey: vkeys[0], url });
  expect(JSON.parse(readFileSync(join(dir, "witness.json"), "utf8"))).toEqual(config);
  writeFileSync(join(dir, "witness.json"), text);
  expect(await listLogs({ dir })).toHaveLength(1);
});

test("the list of logs in the reference is taken up, and the reference names the fields that this gives", async () => {
  const [, text = ""] = /```text\n(logs\/v0[^`]*)```/.exec(reference) ?? [];
  const dir = await witnessFolder([]);
  writeFileSync(join(dir, "list.1"), text);
  await addList({ dir, path: join(dir, "list.1") });
  await TestWitness.open(dir);
  expect(await listLogs({ dir })).toMatchObject([
    { origin: "log.example.com/app", qpd: 8640, contact: "ops@log.example.com" },
    { origin: "tlog.example.net/2026", qpd: 86_400, contact: "https://tlog.example.net/about" },
  ]);
  await removeLog({ dir, origin: "tlog.example.net/2026" });
  const { logs, ...others } = JSON.parse(readFileSync(join(dir, "witness.json"), "utf8")) as { logs: object[] };
  for (const field of Object.keys(others)) expect(reference).toContain(`| \`${field}\` |`);
  for (const field of logs.flatMap(Object.keys)) expect(reference).toContain(`| \`logs[].${field}\` |`);
});

test("the reference names every file of the folder, with its mode", async () => {
  const log = new TestLog();
  const dir = await witnessFolder([log]);
  const witness = await TestWitness.open(dir);
  await witness.add(log.request(0, 5));
  await witness.add(new TestLog({ salt: "fork" }).request(5, 5));
  const names = readdirSync(dir, { recursive: true, encoding: "utf8" }).filter(
    (name) => !/(^|\/)lock(\/|$)/.test(name),
  );
  for (const name of names) {
    const documented = name.replace(log.hash, "<origin hash>").replace(/-1\.json$/, "-<n>.json");
    expect(reference).toContain(`\`${documented}`);
    const stats = statSync(join(dir, name));
    expect(stats.mode & 0o777).toBe(stats.isDirectory() ? 0o700 : 0o600);
  }
});

test("the reference names every code with its status", () => {
  for (const [code, { status }] of Object.entries(KINDS)) {
    const rows = reference.split("\n").filter((line) => line.startsWith(`| ${status} |`));
    expect(rows.join("\n")).toContain(`\`${code}\``);
  }
});

test("the guide's keys are keys", async () => {
  const dir = await witnessFolder([]);
  const vkeys = [...docOf("guides/run-a-witness.md").matchAll(/'(log\.example\.com\/app\+[^']+)'/g)].map(
    ([, vkey = ""]) => vkey,
  );
  expect(vkeys.length).toBeGreaterThan(1);
  for (const vkey of vkeys) await addLog({ dir, vkey });
});

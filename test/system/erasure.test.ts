/** A person is erased by real processes, one of which is killed right after the order: what holds on the disk afterwards. */
import { readFile, readdir, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Ran, runHere } from "../../packages/cli/test/support/run-here.ts";
import { type Dev, exitOf, removeFolder, runCommand, startDev, temporaryFolder } from "../support/processes.ts";

const CANARY = "u-canary-7731";
/** Gives its first argument to what follows, on standard input. */
const TYPED = ["sh", "-c", `printf '%s\\n' "$0" | exec "$@"`, CANARY];

const home = process.cwd();
let folder: string;
let dev: Dev;

beforeAll(async () => {
  folder = await temporaryFolder();
  dev = await startDev(folder);
  process.chdir(folder);
}, 60_000);

afterAll(async () => {
  process.chdir(home);
  await dev.stop();
  await removeFolder(folder);
});

/** The command in this process, which is sooner there, against the log's own. */
async function run(...args: readonly string[]): Promise<Ran> {
  for (let tries = 0; ; tries += 1) {
    const ran = await runHere(args);
    if (tries === 200 || !ran.err.includes("503 log-starting")) return ran;
    await new Promise((done) => setTimeout(done, 100));
  }
}

interface Erased {
  readonly request: string;
  readonly state: string;
  readonly ordered: readonly number[];
  readonly done: number;
}

test("erased, killed, started again: done, certified, proven, and nowhere on the disk", async () => {
  const ids = ["bert", CANARY, "carl", CANARY];
  const events = ids.map((id) => ({ type: "auth.login", outcome: "success", actor: { type: "user", id } }));
  await writeFile("events.json", JSON.stringify(events));
  const submitted = await run("submit", "events.json", "--json");
  const indexes = (JSON.parse(submitted.out) as { index: number }[]).map(({ index }) => index);
  const [bert = 0, first = 0, , second = 0] = indexes;
  expect((await run("receipt", String(first), "--evidence", "--out", "kept.json")).code).toBe(0);

  const args = ["erase", "--subject-file", "-", "--ground", "file 117", "--wait", "0", "--json"];
  const ordered = await runCommand(folder, args, TYPED);
  expect({ code: ordered.code, err: ordered.err }).toEqual({ code: 0, err: "" });
  dev.child.kill("SIGKILL");
  await exitOf(dev.child);
  dev = await startDev(folder);

  const { request } = JSON.parse(ordered.out) as Erased;
  const { certificate, shown } = await certificateOf(request);
  expect(shown.state).toBe("done");
  expect(certificate).toEqual([...shown.ordered, shown.done].map((index) => `certificate/${index}.evidence.json`));
  for (const index of [first, second]) {
    const gone = await run("receipt", String(index), "--evidence");
    expect(gone).toMatchObject({ code: 2, err: expect.stringContaining("410 erased: ") });
    expect((await run("receipt", String(index), "--out", `${index}.tlog-proof`)).code).toBe(0);
    const proven = await run(
      "verify",
      `${index}.tlog-proof`,
      ...certificate.flatMap((path) => ["--certificate", path]),
    );
    expect(proven).toMatchObject({ code: 0, out: expect.stringMatching(/^ERASED {2}/) });
  }
  expect(await run("verify", "kept.json")).toMatchObject({ code: 0, out: expect.stringContaining(CANARY) });
  expect((await run("receipt", String(bert), "--evidence", "--out", "bert.json")).code).toBe(0);
  expect(await run("audit", "--contents")).toMatchObject({ code: 0, out: expect.stringMatching(/^VERIFIED {2}/) });

  await dev.stop();
  const checked = await run("fsck", "--dir", ".tallystick/log", "--name", "app");
  expect(checked).toMatchObject({ code: 0, err: "", out: expect.stringMatching(/^WHOLE {2}/) });
  expect(await filesWith(".tallystick", CANARY)).toEqual([]);
}, 60_000);

async function certificateOf(request: string): Promise<{ certificate: readonly string[]; shown: Erased }> {
  for (let tries = 0; ; tries += 1) {
    const shown = JSON.parse((await run("erase", "show", request, "--json")).out) as Erased;
    if (shown.state !== "done" && tries < 50) continue;
    const { code, out, err } = await run("erase", "certificate", request, "--out", "certificate", "--json");
    expect({ code, out, err }).toMatchObject({ code: 0, err: "" });
    return { certificate: (JSON.parse(out) as { files: string[] }).files, shown };
  }
}

/** The files below a folder whose bytes hold a text. */
async function filesWith(root: string, text: string): Promise<string[]> {
  const names = await readdir(root, { recursive: true });
  expect(names.length).toBeGreaterThan(10);
  const found: string[] = [];
  for (const name of names) {
    const path = join(root, name);
    if ((await stat(path)).isFile() && (await readFile(path)).includes(text)) found.push(name);
  }
  return found;
}

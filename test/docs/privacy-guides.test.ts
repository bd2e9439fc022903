/** The guides on erasing a person and on answering an access request: every command of theirs says what they show. */
import { readFile, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { createToken, layoutOf } from "@tallystick/server";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Ran, runHere } from "../../packages/cli/test/support/run-here.ts";
import { type Dev, removeFolder, startDev, temporaryFolder } from "../support/processes.ts";

const ROOT = resolve(import.meta.dirname, "../..");
const home = process.cwd();
let folder: string;
let dev: Dev;
/** What stands for the words in capitals. */
const values = new Map<string, string>();

beforeAll(async () => {
  folder = await temporaryFolder();
  dev = await startDev(folder);
  process.chdir(folder);
  const tokens = layoutOf(join(folder, ".tallystick", "log")).tokens;
  values.set("SECOND", (await createToken(tokens, { log: "app", role: "officer" })).token);
  const people = { subject: "u_81", other: "u_82", third: "u_83" };
  for (const [name, id] of Object.entries(people)) await writeFile(`${name}.txt`, `${id}\n`);
  const ids = ["u_81", "u_82", "u_81", "u_83", "u_81"];
  const events = ids.map((id) => ({ type: "auth.login", outcome: "success", actor: { type: "user", id } }));
  await writeFile("events.json", JSON.stringify(events));
  const { code, out, err } = await runReady(["submit", "events.json", "--json"]);
  expect({ code, out, err }).toMatchObject({ code: 0, err: "" });
  values.set("INDEX", String((JSON.parse(out) as { index: number }[])[0]?.index));
}, 60_000);

afterAll(async () => {
  process.chdir(home);
  await dev.stop();
  await removeFolder(folder);
});

/** Again while the log asks its witnesses first, or has not taken up a new token yet. */
async function runReady(args: readonly string[]): Promise<Ran> {
  for (let tries = 0; ; tries += 1) {
    const ran = await runHere(args);
    if (tries === 100 || !/ 503 log-starting| 401 unauthenticated/.test(ran.err)) return ran;
    await new Promise((done) => setTimeout(done, 100));
  }
}

interface Step {
  readonly command: string;
  /** Lines that it prints, in this order; … stands for anything. */
  readonly expected: readonly string[];
}

function stepsOf(page: string): Step[] {
  const blocks = [...page.matchAll(/```text\n([\s\S]*?)```/g)].map(([, block = ""]) => block);
  return blocks.flatMap((block) => {
    const [, ...commands] = `\n${block}`.split("\n$ tallystick ");
    return commands.map((text) => {
      const [command = "", ...expected] = text.trimEnd().split("\n");
      return { command, expected };
    });
  });
}

/** The words of a command as a shell has them, with values in place of names. */
function wordsOf(command: string): string[] {
  const words = [...command.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain = ""]) => quoted ?? plain);
  return words.map((word) => {
    const name = /\b[A-Z]{4,}\b/.exec(word)?.[0];
    const value = name === undefined || word === "GDPR" ? undefined : values.get(name);
    return name === undefined || value === undefined ? word : word.replace(name, value);
  });
}

function patternOf(line: string): RegExp {
  const parts = line.split("…").map((part) => part.replaceAll(/[$()*+.?[\\\]^{|}]/g, String.raw`\$&`));
  return new RegExp(`^${parts.join(".*")}$`);
}

/** What later commands name. */
function remember(out: string): void {
  const found = {
    REQUEST: /^ {2}request +(\S+)$/m,
    ORDER: /index (\d+) orders it/,
    DONE: /index (\d+) says that it is done/,
    TICKET: /approve (tsa_\S+)$/m,
    READER: /^(tsk_reader_\S+)$/m,
  };
  for (const [name, pattern] of Object.entries(found)) {
    const value = pattern.exec(out)?.[1];
    if (value !== undefined) values.set(name, value);
  }
}

async function askForTwo(): Promise<void> {
  const response = await fetch(`${dev.file.log.url}/v1/rules`, {
    method: "POST",
    headers: { authorization: `Bearer ${dev.file.log.tokens.officer}`, "content-type": "application/json" },
    body: JSON.stringify({ text: "version: 1\ntwoPersons: [erasure]\n" }),
  });
  expect(response.status).toBe(201);
}

async function runStep({ command, expected }: Step): Promise<void> {
  if (command.includes("third.txt")) await askForTwo();
  const args = wordsOf(command);
  const ran = await runReady(args);
  // In a clone that npm runs, the way on is shown as npm runs it.
  const printed = `${ran.out}${ran.err}`.replaceAll(/npm (?:--prefix \S+ )?run -s tallystick -- /g, "tallystick ");
  const lines = printed.split("\n");
  for (const line of expected) {
    const at = lines.findIndex((each) => patternOf(line).test(each));
    expect([command, at === -1 ? printed : line]).toEqual([command, line]);
    lines.splice(0, at + 1);
  }
  remember(printed);
}

test("the commands of both guides, one after another, print what the guides show", async () => {
  const pages = ["answer-an-access-request.md", "erase-a-person.md"];
  const texts = await Promise.all(pages.map(async (page) => readFile(join(ROOT, "docs/guides", page), "utf8")));
  const steps = texts.flatMap(stepsOf);
  expect(steps.length).toBeGreaterThan(12);
  for (const step of steps) await runStep(step);
}, 60_000);

/** The commands of README and docs/start do what those pages say, and links lead somewhere. */
import { readFile, readdir, writeFile } from "node:fs/promises";
import { dirname, join, relative, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Dev, removeFolder, runCommand, startDev, temporaryFolder } from "../support/processes.ts";

const ROOT = resolve(import.meta.dirname, "../..");

/** The shell blocks of a page, each a list of lines. */
function shellBlocks(page: string): string[][] {
  return [...page.matchAll(/```sh\n([\s\S]*?)```/g)].map(([, block]) => (block ?? "").trim().split("\n"));
}

describe.each(["README.md", "docs/start.md"])("the commands of %s", (path) => {
  let dev: Dev;
  let folder: string;
  beforeAll(async () => {
    folder = await temporaryFolder();
    dev = await startDev(folder);
  }, 60_000);
  afterAll(async () => {
    await dev.stop();
    await removeFolder(folder);
  });

  test("run one after another, each with the outcome that the page tells", async () => {
    const lines = shellBlocks(await readFile(join(ROOT, path), "utf8")).flat();
    expect(lines[0]).toBe("npm start");
    for (const line of lines.slice(1)) {
      const { code, out, err } = await runLine(folder, line);
      expect({ line, code, err }).toEqual({ line, code: line.endsWith("|| true") ? 1 : 0, err: "" });
      expect(out).toMatch(expectedOutput(line));
    }
  }, 60_000);
});

/** How the output of a line begins. */
function expectedOutput(line: string): RegExp {
  if (line.includes("verify forged.json")) return /^REFUTED {2}[a-z-]+: /;
  return / (verify|audit)\b/.test(line) ? /^VERIFIED {2}/ : /^/;
}

/** One line: the command, or the one other program that the pages use. */
async function runLine(folder: string, line: string): Promise<{ code: number | null; out: string; err: string }> {
  const command = /^npm run -s tallystick -- (.*?)(?: \|\| true)?$/.exec(line)?.[1];
  if (command !== undefined) return runCommand(folder, command.split(" "));
  const edit = /^sed 's\/(.*?)\/(.*?)\/' (\S+) > (\S+)$/.exec(line);
  if (edit === null) throw new Error(`a line that this test cannot run: ${line}`);
  const [, from = "", to = "", source = "", target = ""] = edit;
  const text = await readFile(join(folder, source), "utf8");
  await writeFile(join(folder, target), text.replace(from, to));
  return { code: text.includes(from) ? 0 : 1, out: "", err: "" };
}

describe("links", () => {
  test("of every page lead to a page, a file or an anchor that is there", async () => {
    const pages = [join(ROOT, "README.md"), ...(await pagesBelow(join(ROOT, "docs")))];
    const broken: string[] = [];
    for (const page of pages) {
      const text = await readFile(page, "utf8");
      for (const [, target = ""] of text.matchAll(/\]\(([^)\s]+)\)/g)) {
        if (!(await leadsSomewhere(page, target))) broken.push(`${relative(ROOT, page)} -> ${target}`);
      }
    }
    expect(broken).toEqual([]);
  });
});

async function pagesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile() && entry.name.endsWith(".md"))
    .map((entry) => join(entry.parentPath, entry.name));
}

async function leadsSomewhere(page: string, target: string): Promise<boolean> {
  if (/^[a-z]+:/.test(target)) return true;
  const [path = "", anchor] = target.split("#");
  const file = path === "" ? page : resolve(dirname(page), path);
  const text = await readFile(file, "utf8").catch(async () =>
    (await readdir(file).catch(() => undefined)) === undefined ? undefined : "",
  );
  if (text === undefined) return false;
  return anchor === undefined || anchorsOf(text).has(anchor);
}

/** Anchors as forges make them of headings, and those that a page names itself. */
function anchorsOf(text: string): Set<string> {
  const headings = [...text.matchAll(/^#+ (.+)$/gm)].map(([, heading = ""]) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\s_-]/gu, "")
      .trim()
      .replaceAll(/\s/g, "-"),
  );
  const named = [...text.matchAll(/<a (?:id|name)="([^"]+)"/g)].map(([, name = ""]) => name);
  return new Set([...headings, ...named]);
}

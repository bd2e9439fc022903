import { readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { DevFile } from "@tallystick/cli";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import {
  type Finished,
  exitOf,
  removeFolder,
  runCommand,
  startCommand,
  temporaryFolder,
} from "../../../test/support/processes.ts";
import { expectClean } from "./support/clean.ts";

let folder: string;
beforeAll(async () => {
  folder = await temporaryFolder();
});
afterAll(async () => {
  await removeFolder(folder);
});

const devPath = (): string => join(folder, ".tallystick", "dev.json");

async function readDev(): Promise<DevFile> {
  return JSON.parse(await readFile(devPath(), "utf8")) as DevFile;
}

/** Starts dev, does something while it runs, and ends it as Ctrl-C does. */
async function whileDevRuns(work: (printed: string) => Promise<void>): Promise<Finished> {
  const child = startCommand(folder, ["dev", "--port", "0", "--json"]);
  let [out, err] = ["", ""];
  child.stderr?.on("data", (part: Buffer) => (err += part.toString()));
  const ready = new Promise<void>((resolve) => {
    child.stdout?.on("data", (part: Buffer) => {
      out += part.toString();
      if (out.endsWith("\n")) resolve();
    });
    child.once("exit", () => resolve());
  });
  await ready;
  await work(out).finally(() => child.kill("SIGINT"));
  return { code: await exitOf(child), out, err };
}

describe("dev", () => {
  test(
    "prints where everything is as JSON, without the tokens, and holds its folder for itself",
    { timeout: 60_000 },
    async () => {
      const ran = await whileDevRuns(async (printed) => {
        const { log, ...others } = await readDev();
        const { tokens, ...shown } = log;
        expect(JSON.parse(printed)).toEqual({ ...others, log: shown });
        expectClean({ out: printed, err: "" }, Object.values(tokens));
        const second = await runCommand(folder, ["dev", "--port", "0"]);
        expect([second.code, second.out]).toEqual([2, ""]);
        expectClean(second, Object.values(tokens));
        expect(second.err).toMatch(/^tallystick dev: [^\n]+\n$/);
      });
      expect([ran.code, ran.err]).toEqual([0, ""]);
    },
  );

  test(
    "keeps its tokens and witnesses from one start to the next, and makes other tokens where dev.json was removed",
    { timeout: 60_000 },
    async () => {
      const before = await readDev();
      await whileDevRuns(async () => {
        const { log, witnesses } = await readDev();
        expect(log.tokens).toEqual(before.log.tokens);
        expect(witnesses.map(({ vkeys }) => vkeys)).toEqual(before.witnesses.map(({ vkeys }) => vkeys));
      });
      await writeFile(devPath(), "");
      const refused = await runCommand(folder, ["dev", "--port", "0"]);
      expect(refused).toMatchObject({
        code: 3,
        out: "",
        err: expect.stringContaining("dev.json: expected what tallystick dev writes; remove it, and "),
      });
      await rm(devPath());
      await whileDevRuns(async () => {
        const { log } = await readDev();
        expect(log.vkeys).toEqual(before.log.vkeys);
        expect(Object.values(log.tokens)).not.toContain(before.log.tokens.writer);
      });
    },
  );

  test("in another folder prints commands that run where it says; Ctrl-C ends it with a word", async () => {
    const elsewhere = join(await temporaryFolder(), "a b");
    onTestFinished(async () => removeFolder(dirname(elsewhere)));
    const child = startCommand(folder, ["dev", "--port", "0", "--dir", elsewhere]);
    let out = "";
    const ready = new Promise<void>((resolve) => {
      child.stdout?.on("data", (part: Buffer) => {
        out += part.toString();
        if (out.includes("Ctrl-C stops")) resolve();
      });
    });
    await ready;
    child.kill("SIGINT");
    expect(await exitOf(child)).toBe(0);
    expect(out).toContain(`from another terminal:\n  cd '${elsewhere}'\n`);
    expect(out).toMatch(/\nstopped\n$/);
  });

  test("says what is the matter with a folder that it cannot have", async () => {
    const path = join(folder, "file");
    await writeFile(path, "x");
    for (const dir of [path, join(path, "below")]) {
      const ran = await runCommand(folder, ["dev", "--port", "0", "--dir", dir]);
      expect(ran).toMatchObject({ code: 2, out: "", err: expect.stringMatching(/^tallystick dev: [^\n]+\n$/) });
      expectClean(ran);
    }
  });
});

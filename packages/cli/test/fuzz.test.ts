/** Arguments, files and streams that nobody would write: each ends in words, with a code that is documented. */
import { mkdir, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { allCommands } from "@tallystick/cli";
import * as fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { temporaryFolder } from "../../../test/support/processes.ts";
import { serverSentEvents } from "../src/server-sent-events.ts";
import { type VerifiedFiles, makeVerifiedFiles, verifyJson } from "./support/alterations.ts";
import { expectClean } from "./support/clean.ts";
import { runHere } from "./support/run-here.ts";

const COMMANDS = await allCommands();

const home = process.cwd();
let folder: string;
let files: VerifiedFiles;
beforeAll(async () => {
  files = await makeVerifiedFiles();
  folder = await temporaryFolder();
  process.chdir(folder);
});
afterAll(async () => {
  process.chdir(home);
  await files.log.remove();
  await rm(folder, { recursive: true, force: true });
});

const SECRET = "sEcReT-sEcReT";
const WORDS = ["", "-", "--", "0", "-1", "1e3", "x", "/dev/null", ".", "..", "missing", "__proto__", "constructor"];
const ACTIONS = ["show", "fingerprint", "tokens", "list", "keys", "evidence", "inclusion", "consistency", "remove-log"];
const HOSTILE = ["\u001B[2J", "\u009B8m", "\u202E", "a\nVERIFIED  b", "\uD800", "x".repeat(5000), "TypeE\u0000rror"];
const word = fc.oneof(fc.constantFrom(...WORDS, ...ACTIONS, ...HOSTILE), fc.string({ unit: "binary", maxLength: 20 }));

describe("arguments", () => {
  // What serves would go on serving; init would make what it is told to.
  const tried = COMMANDS.filter(({ name }) => name !== "dev" && name !== "serve");

  test.each(tried.map((command) => [command.name, command] as const))("of %s", async (name, { options }) => {
    const names = [...Object.keys(options), "json", "no-such"].filter((option) => option !== "token");
    const option = fc.oneof(
      fc.constantFrom(...names).map((flag) => [`--${flag}`]),
      fc.tuple(fc.constantFrom(...names), word).map(([flag, value]) => [`--${flag}`, value]),
      fc.tuple(fc.constantFrom(...names), word).map(([flag, value]) => [`--${flag}=${value}`]),
      word.map((value) => [value]),
    );
    const token = "token" in options ? ["--token", SECRET] : [];
    await fc.assert(
      fc.asyncProperty(fc.array(option, { maxLength: 6 }), async (given) => {
        // The dead port comes last, so that nothing is sent anywhere else.
        // "-" reads standard input, which nobody ends here.
        const args = [...given.flat().filter((part) => part !== "--" && !/(^|=)-$/.test(part)), ...token];
        const log = "log" in options ? ["--log", "http://127.0.0.1:9/app"] : [];
        const ran = await runHere([name, ...args, ...log], { signal: AbortSignal.abort() });
        expectClean(ran, [SECRET]);
        expect([0, 1, 2, 3]).toContain(ran.code);
        const usage = /^tallystick [^\n]+\nusage: [^\n]+\n$/.test(ran.err);
        expect([ran, usage]).toEqual([ran, ran.code === 3]);
      }),
      { numRuns: 200 },
    );
    expect(await readdir(folder)).toEqual([]);
  });

  test("of no command", async () => {
    await fc.assert(
      fc.asyncProperty(
        word.filter((name) => !COMMANDS.some((command) => command.name === name) && name !== "help"),
        fc.array(word, { maxLength: 3 }),
        async (name, rest) => {
          const ran = await runHere([name, ...rest]);
          expectClean(ran);
          expect({ code: ran.code, out: ran.out }).toEqual({ code: 3, out: "" });
          expect(ran.err).toMatch(/^tallystick: there is no command [^\n]+\n$/);
        },
      ),
      { numRuns: 300 },
    );
  });
});

const json = fc.json({ maxDepth: 40 });
const pieces = fc.constantFrom(
  "c2sp.org/tlog-proof@v1\n",
  "index 0\n",
  "extra AAAA\n",
  "\n",
  "test.localhost/app\n",
  "— test.localhost/app AAAA\n",
  '{"format":"tallystick/evidence@1",',
  '"proof":"',
  '{"format":"tallystick/fork@1","checkpoints":["',
  '","opening":"AAAA"}',
  "log ",
  "witness w ",
  "group g all ",
  "quorum none\n",
  '{"type":"auth.login","__proto__":{"id":1}}\n',
  "\u0000",
  "\u001B[2J",
);
const content = fc.oneof(
  fc.uint8Array({ maxLength: 300 }),
  json.map((text) => Buffer.from(text)),
  fc
    .array(fc.oneof(pieces, fc.string({ maxLength: 10 })), { maxLength: 12 })
    .map((parts) => Buffer.from(parts.join(""))),
);

describe("files", () => {
  test("that may be anything are no evidence, no policy, no opening, no head and no events", async () => {
    const path = join(folder, "any");
    const policy = ["--policy", files.policy];
    const log = ["--log", "http://127.0.0.1:9/app"];
    await fc.assert(
      fc.asyncProperty(content, async (bytes) => {
        await writeFile(path, bytes);
        for (const [args, codes] of [
          [["verify", path, ...policy], [1]],
          [
            ["verify", files.receipt, ...policy, "--opening", path],
            [1, 2],
          ],
          [
            ["verify", files.evidence, "--policy", path],
            [1, 2],
          ],
          [["audit", ...log, ...policy, "--head", path], [2]],
          [
            ["submit", path, ...log],
            [2, 3],
          ],
        ] as const) {
          const ran = await runHere(args);
          expectClean(ran);
          expect([args[0], ran.code, codes]).toEqual([
            args[0],
            expect.toSatisfy((code: number) => codes.some((known) => known === code)),
            codes,
          ]);
        }
      }),
      { numRuns: 150 },
    );
  });

  test("of evidence with a piece moved, doubled or left out say nothing else", async () => {
    const text = await readFile(files.evidence);
    const original = await verifyJson(files.evidence, files.policy);
    const place = fc.nat({ max: text.length });
    await fc.assert(
      fc.asyncProperty(place, place, place, place, async (a, b, c, d) => {
        const spliced = Buffer.concat([text.subarray(0, a), text.subarray(b, c), text.subarray(d)]);
        await writeFile(join(folder, "spliced"), spliced);
        const ran = await verifyJson(join(folder, "spliced"), files.policy);
        // Blanks between the members may come and go; without a witness's line it is the log's word alone, with 2.
        const isRefused = ran.code === 1 || ran.code === 2;
        expect(isRefused ? original : ran).toEqual(original);
      }),
      { numRuns: 200 },
    );
  });
});

test("streams of any bytes give events of text, or end", async () => {
  const part = fc.oneof(
    fc.uint8Array({ maxLength: 40 }),
    fc.constantFrom("event: entry\n", "data: {}\n", "\n", ": x\n", "\r\n", "event: ").map((text) => Buffer.from(text)),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(part, { maxLength: 30 }), async (parts) => {
      const stream = (async function* () {
        yield* parts;
      })();
      for await (const { event, data } of serverSentEvents(stream)) {
        expect([typeof event, typeof data]).toEqual(["string", "string"]);
        expect(event + data).not.toContain("\n");
      }
    }),
    { numRuns: 500 },
  );
});

test("any configuration of a witness or a server is refused", async () => {
  const dir = join(folder, "configured");
  await mkdir(dir);
  await fc.assert(
    fc.asyncProperty(content, async (bytes) => {
      for (const name of ["witness.json", "server.json", "tokens.json", "config.json"])
        await writeFile(join(dir, name), bytes);
      for (const args of [["witness", "keys"], ["witness", "list"], ["keys", "show"], ["keys", "tokens"], ["fsck"]]) {
        const ran = await runHere([...args, "--dir", dir]);
        expectClean(ran);
        expect(ran.code).toBe(2);
      }
    }),
    { numRuns: 100 },
  );
});

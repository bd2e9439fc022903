import { existsSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { temporaryFolder } from "../../../test/support/temporary-folder.ts";
import { expectClean } from "./support/clean.ts";
import { runHere } from "./support/run-here.ts";

test("serve --profile production names everything that is missing and what to do, and does not start", async () => {
  const dir = join(temporaryFolder(), "server");
  await runHere(["serve", "--dir", dir, "--init", "--name", "app", "--origin", "log.example/app"]);
  const args = ["serve", "--dir", dir, "--listen", "0.0.0.0:0", "--profile", "production"];
  const ran = await runHere(args);
  expectClean(ran);
  expect(ran.code).toBe(2);
  const [first = "", ...remedies] = ran.err.trimEnd().split("\n");
  const points = ["listener-plain", "witnesses-inside", "quorum-none", "key-backup-missing", "tokens-initial"];
  for (const point of points) expect(first).toContain(`${point}: `);
  expect(first).toContain("(profile-unmet)");
  expect(remedies.map((line) => /^ {2}([a-z-]+): /.exec(line)?.[1])).toEqual(points);
  expect(existsSync(join(dir, "data", "app", "LOCK"))).toBe(false);
  const { error } = JSON.parse((await runHere([...args, "--json"])).out) as {
    error: { code: string; message: string };
  };
  expect([error.code, points.filter((point) => !error.message.includes(point))]).toEqual(["profile-unmet", []]);
});

test("witness serve --profile production does alike", async () => {
  const dir = join(temporaryFolder(), "witness");
  await runHere(["witness", "init", "--dir", dir, "--name", "w.example"]);
  const args = ["witness", "serve", "--dir", dir, "--listen", "0.0.0.0:0", "--profile", "production"];
  const ran = await runHere(args);
  expectClean(ran);
  expect(ran).toMatchObject({ code: 2, err: expect.stringContaining('witness.json "tls"') });
});

test.each([
  ["serve", "--dir", "x", "--profile", "prod"],
  ["serve", "--dir", "x", "--init", "--name", "app", "--origin", "o", "--profile", "production"],
  ["witness", "serve", "--dir", "x", "--profile", "prod"],
])("%s %s %s %s … is wrong usage", async (...args) => {
  expect(await runHere(args)).toMatchObject({ code: 3, err: expect.stringContaining("--profile: expected") });
});

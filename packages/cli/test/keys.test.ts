/** `keys`: replacing tokens and a log's keys, backups of a key store; what is wrong usage says what to write instead. */
import { copyFile, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { listTokens } from "@tallystick/server";
import { beforeEach, describe, expect, test } from "vitest";
import { temporaryFolder } from "../../../test/support/temporary-folder.ts";
import { type Ran, runHere } from "./support/run-here.ts";

let dir: string;
beforeEach(async () => {
  dir = join(temporaryFolder(), "s");
  const made = await runHere(["serve", "--init", "--dir", dir, "--name", "app", "--origin", "test.localhost/app"]);
  expect(made.code).toBe(0);
});

async function keys(...args: readonly string[]): Promise<Ran> {
  return runHere(["keys", ...args, "--dir", dir]);
}

async function configure(fields: object): Promise<void> {
  const path = join(dir, "server.json");
  await writeFile(path, JSON.stringify({ ...(JSON.parse(await readFile(path, "utf8")) as object), ...fields }));
}

test("wrong usage of a subcommand shows that one's usage, and of none that of all", async () => {
  const { code, err } = await keys("rotate-token");
  expect([code, err.trimEnd().split("\n").at(-1)]).toEqual([
    3,
    "usage: tallystick keys rotate-token ID --dir DIR [--overlap 24h]",
  ]);
  expect((await keys("rotate-log", "--what")).err).toContain(
    "usage: tallystick keys rotate-log --dir DIR [--name LOG]",
  );
  expect((await keys("what")).err).toContain("usage: tallystick keys show --dir DIR | fingerprint VKEY | ");
});

describe("rotate-token", () => {
  test("prints a new token of the same role and lets the old one end; the list says when", async () => {
    const [old] = await listTokens(join(dir, "tokens.json"));
    const { code, out } = await keys("rotate-token", old?.id ?? "", "--overlap", "7d", "--json");
    expect(code).toBe(0);
    const made = JSON.parse(out) as { id: string; token: string; replaces: string; expiresAt: string };
    expect(made).toMatchObject({ replaces: old?.id });
    expect(made.token).toMatch(/^tsk_writer_/);
    const listed = (await keys("tokens")).out;
    expect(listed).toContain(made.id);
    expect(listed).toContain(`until ${made.expiresAt}`);
    expect(listed).not.toContain(made.token);
  });

  test.each(["", "24", "24x", "0h", "1.5h", "91d", "1h30m", "constructor"])(
    "refuses the overlap %j",
    async (overlap) => {
      const [old] = await listTokens(join(dir, "tokens.json"));
      const { code, err } = await keys("rotate-token", old?.id ?? "", "--overlap", overlap);
      expect([code, err]).toEqual([
        3,
        expect.stringContaining("--overlap: expected 0, or minutes, hours or days up to 90d"),
      ]);
    },
  );

  test("of an id that is not there says so", async () => {
    const { code, err } = await keys("rotate-token", "writer-00000000");
    expect([code, err]).toEqual([2, expect.stringContaining("token-unknown")]);
  });
});

describe("rotate-log", () => {
  test("leaves keys of which show tells the old one of each type, until it is retired", async () => {
    const idsOf = (out: string, age: string): string[] =>
      [...out.matchAll(/^\S+ {2}(?:Ed25519|ML-DSA-44) ([0-9a-f]{8})(.*)$/gm)].flatMap(([, id = "", words]) =>
        words === age ? [id] : [],
      );
    const before = idsOf((await keys("show")).out, "");
    expect(before).toHaveLength(2);
    await keys("rotate-log");
    const { out } = await keys("show");
    expect(idsOf(out, "  the old one")).toEqual(before);
    const made = idsOf(out, "  the new one");
    for (const id of before) expect((await keys("rotate-log", "--retire", id)).code).toBe(0);
    expect(idsOf((await keys("show")).out, "")).toEqual(made);
  });

  test("says what to do next, and refuses to begin a second rotation or to retire what has no successor", async () => {
    const made = await keys("rotate-log");
    expect(made.code).toBe(0);
    const lines = [...made.out.matchAll(/^ {2}tallystick witness add-log (test\.localhost\/app\+\S+) --dir FOLDER$/gm)];
    expect(lines).toHaveLength(2);
    for (const [, vkey = ""] of lines) expect(made.out.split(vkey)).toHaveLength(2);
    expect(await keys("rotate-log")).toMatchObject({ code: 2, err: expect.stringContaining("rotation-under-way") });
    expect(await keys("rotate-log", "--retire", "00000000")).toMatchObject({
      code: 2,
      err: expect.stringContaining("key-unknown"),
    });
    expect(await keys("rotate-log", "--retire", "nothex")).toMatchObject({
      code: 3,
      err: expect.stringContaining("8 hex digits"),
    });
  });
});

describe("backups", () => {
  test("fail where server.json says no place for them, with what to write there", async () => {
    for (const action of ["backups", "back-up", "restore"]) {
      const { code, err } = await keys(action);
      expect([code, err]).toEqual([
        2,
        expect.stringContaining('write "keyBackup": {"target": FOLDER, "keys": FOLDER}'),
      ]);
      expect(err).not.toContain("usage:");
    }
  });

  test("restore nothing over a key store that is there, and nothing where there is no backup", async () => {
    await configure({ keyBackup: { target: "backups", keys: "backup-keys" } });
    expect(await keys("restore")).toMatchObject({ code: 3, err: expect.stringContaining("none that can be read") });
    const served = await runHere(["fsck", "--dir", dir]);
    expect(served.code).toBe(0);
    expect(await keys("back-up")).toMatchObject({ code: 0, out: expect.stringContaining(".backup") });
    expect(await keys("restore")).toMatchObject({ code: 2, err: expect.stringContaining("key-store-exists") });
  });

  test("of a log that the server does not have are wrong usage", async () => {
    expect(await keys("backups", "--name", "nope")).toMatchObject({
      code: 3,
      err: expect.stringContaining('no log "nope", only app'),
    });
  });
});

describe("rewrap", () => {
  test("needs the configuration of before, and a place for the new key to make one", async () => {
    expect(await keys("rewrap")).toMatchObject({ code: 3, err: expect.stringContaining("expected --before FILE") });
    const before = join(dir, "server.json");
    expect(await keys("rewrap", "--before", before, "--make")).toMatchObject({
      code: 3,
      err: expect.stringContaining("--make"),
    });
    const none = await keys("rewrap", "--before", join(dir, "nothere.json"));
    expect(none).toMatchObject({ code: 2, err: expect.stringContaining("nothere.json: there is no such file") });
    expect(none.err).not.toContain("--init");
  });

  test("makes the new key once: without --make it asks for it, and again it says to leave it out", async () => {
    const before = join(dir, "server.before.json");
    await copyFile(join(dir, "server.json"), before);
    await configure({ masterKey: { file: "master-2.key" } });
    const abort = new AbortController();
    await runHere(["serve", "--dir", dir, "--listen", "127.0.0.1:0"], {
      signal: abort.signal,
      onOut: () => abort.abort(),
    });
    const args = ["rewrap", "--before", before];
    expect(await keys(...args)).toMatchObject({
      code: 3,
      err: expect.stringContaining("master-2.key: --make makes it"),
    });
    expect(await keys(...args, "--make")).toMatchObject({ code: 0, err: "" });
    expect(await keys(...args, "--make")).toMatchObject({ code: 3, err: expect.stringContaining("leave out --make") });
    expect(await keys(...args)).toMatchObject({ code: 0, out: expect.stringContaining("was already") });
  });
});

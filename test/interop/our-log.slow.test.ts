/** Our log over HTTP, read and verified by the Go checksum database's code, by Tessera's client and by its fsck. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createSmallLog } from "../support/small-log.ts";
import { GO_BUILD_TIMEOUT_MS, TESSERA, TLOG, buildGo, describeWithGo, runGo } from "./go.ts";
import { type SizedLog, createSizedLog } from "./sized-log.ts";
import { serveSpoilt } from "./spoilt-log.ts";

describeWithGo("our log", () => {
  let sumdbReader: string;
  let follower: string;
  let fsck: string;
  const logs: SizedLog[] = [];

  beforeAll(async () => {
    sumdbReader = await buildGo(TLOG, "./sumdb-reader");
    follower = await buildGo(TESSERA, "./follower");
    fsck = await buildGo(TESSERA, "github.com/transparency-dev/tessera/cmd/fsck");
    logs.push(await createSizedLog(), await createSizedLog());
  }, GO_BUILD_TIMEOUT_MS);

  afterAll(async () => {
    for (const log of logs) await log.remove();
  });

  function logAt(index: number): SizedLog & { readonly vkey: string } {
    const log = logs[index];
    if (log === undefined) throw new Error(`no log ${index}`);
    return { ...log, vkey: log.vkeys[0] ?? "" };
  }

  /** What Tessera's fsck says; it ends with 0 whatever it found. */
  async function runFsck(
    { folder, vkey }: { readonly folder: string; readonly vkey: string },
    url: string,
    more: readonly string[] = [],
  ): Promise<string> {
    const vkeyPath = join(folder, "log.vkey");
    await writeFile(vkeyPath, vkey);
    return (await runGo(fsck, ["-ui=false", "-N=4", "-storage_url", url, "-public_key", vkeyPath, ...more])).stderr;
  }

  async function readHead(url: string): Promise<{ size: number; root: string }> {
    const [, size, root = ""] = (await (await fetch(`${url}/checkpoint`)).text()).split("\n");
    return { size: Number(size), root };
  }

  // Both sides of a full tile, a full tile of level 1, and well beyond.
  test.each([
    [0, 0],
    [1, 0],
    [255, 1],
    [256, 255],
    [257, 256],
    [65_536, 257],
    [70_000, 65_536],
  ])(
    "C-118 of %i entries is read, proven to extend that of %i, and found whole",
    async (size, from) => {
      const log = logAt(0);
      await log.growTo(size);
      const { root } = await readHead(log.url);
      const read = await runGo(sumdbReader, ["-url", log.url, "-vkey", log.vkey, "-from", String(from)]);
      // The signature by Ed25519 is verified, that by ML-DSA-44 is passed over as unknown.
      const expected = { size, rootHash: root, entries: size, verified: 1, unverified: 1 };
      expect(JSON.parse(read.stdout)).toMatchObject(expected);
      const followed = await runGo(follower, ["-url", log.url, "-vkey", log.vkey]);
      expect(JSON.parse(followed.stdout)).toEqual({ size, rootHash: root, entries: size });
      expect(await runFsck(log, log.url)).toContain(`Successfully fsck'd log with size ${size} and root ${root}`);
    },
    120_000,
  );

  test.each(["/tile/0/100", "/tile/1/000", "/tile/entries/100"])(
    "with one bit of %s flipped is refused by x/mod and by fsck",
    async (path) => {
      const log = logAt(0);
      const spoilt = await serveSpoilt(log.url, path);
      const read = runGo(sumdbReader, ["-url", spoilt.url, "-vkey", log.vkey]);
      await expect(read).rejects.toThrow(/not what its tile says|inconsistent tile|invalid transparency proof/);
      expect(await runFsck(log, spoilt.url)).toContain("fsck failed");
      await spoilt.close();
    },
    60_000,
  );

  test.each(["/tile/0/100", "/tile/entries/100"])(
    "with one bit of %s flipped is refused by Tessera's client",
    async (path) => {
      const log = logAt(0);
      const spoilt = await serveSpoilt(log.url, path);
      const followed = runGo(follower, ["-url", spoilt.url, "-vkey", log.vkey]);
      await expect(followed).rejects.toThrow(/not what its tile says/);
      await spoilt.close();
    },
    60_000,
  );

  test("C-118 is followed while it grows, and found whole at any moment", async () => {
    const log = logAt(1);
    const until = 2000;
    const following = runGo(follower, ["-url", log.url, "-vkey", log.vkey, "-until", String(until)]);
    const checking = checkUntil(log, until);
    for (let size = 1; size < until; size += 1 + (size % 101)) await log.growTo(size);
    await log.growTo(until);
    const heads = (await following).stdout.trim().split("\n");
    expect(heads.length).toBeGreaterThan(5);
    const { root } = await readHead(log.url);
    expect(JSON.parse(heads.at(-1) ?? "")).toEqual({ size: until, rootHash: root, entries: until });
    for (const words of await checking) expect(words).toMatch(/Successfully fsck'd log with size \d+ and root/);
  }, 60_000);

  test("with witnesses, and entries for auditors alone, is found whole by whoever has an auditor's token", async () => {
    const log = await createSmallLog(2);
    await log.report(300);
    const own = { folder: log.folder, vkey: log.made.vkeys[0] ?? "" };
    const { size, root } = await readHead(log.url());
    expect(await runFsck(own, log.url(), ["-bearer_token", log.made.tokens.auditor])).toContain(
      `Successfully fsck'd log with size ${size} and root ${root}`,
    );
    expect(await runFsck(own, log.url(), ["-bearer_token", log.made.tokens.writer])).toContain("403");
    expect(await runFsck(own, log.url())).toContain("401");
    await log.remove();
  }, 60_000);

  /** Runs fsck over and over until the log has a size; what it said each time. */
  async function checkUntil(log: SizedLog & { readonly vkey: string }, size: number): Promise<readonly string[]> {
    const said: string[] = [];
    do said.push(await runFsck(log, log.url));
    while ((await readHead(log.url)).size < size);
    return said;
  }
});

import { spawn } from "node:child_process";
import { mkdir, readFile, rm, stat, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { decodeBatch, decodeLeaf } from "@tallystick/events";
import { createSigner, encodeHex } from "@tallystick/core";
import { describe, expect, onTestFinished, test } from "vitest";
import { rejectionCode } from "../../../test/support/errors.ts";
import { lockFolder } from "../src/folder-lock.ts";
import { openOutboxFolder } from "../src/outbox-folder.ts";
import { LogDouble } from "./support/log-double.ts";
import { createFolder, login, startClient } from "./support/setup.ts";

const LIMITS = { bytesMax: 1e6, receiptBytesMax: 1e6 };

async function openCode(folder: string): Promise<string | undefined> {
  return rejectionCode(openOutboxFolder(folder, LIMITS).then(async ({ close }) => close()));
}

/** The number of a process that is there, or of one that has just gone. */
async function processNumber(alive: boolean): Promise<number> {
  const child = spawn(process.execPath, ["-e", alive ? "setInterval(() => {}, 1000)" : ""], { stdio: "ignore" });
  onTestFinished(() => void child.kill());
  if (!alive) await new Promise((resolve) => child.once("exit", resolve));
  return child.pid ?? 0;
}

describe("the folder of an outbox", () => {
  test("is for one client at a time, in one process or two", async () => {
    const folder = await createFolder();
    const opened = await openOutboxFolder(folder, LIMITS);
    expect(await openCode(folder)).toBe("outbox-locked");
    await opened.close();
    expect(await openCode(folder)).toBeUndefined();
  });

  test("another process's lock holds for as long as it lives", async () => {
    const folder = await createFolder();
    const release = await lockFolder(folder);
    const own = await readFile(join(folder, "lock"), "utf8");
    await release();
    const [, , space] = own.trim().split(" ");
    for (const alive of [true, false]) {
      await writeFile(join(folder, "lock"), `${await processNumber(alive)} ? ${space ?? ""}\n`);
      expect(await openCode(folder)).toBe(alive ? "outbox-locked" : undefined);
    }
  });

  test("a lock of a process before us that had our number is taken over", async () => {
    const folder = await createFolder();
    const release = await lockFolder(folder);
    const own = await readFile(join(folder, "lock"), "utf8");
    await release();
    const [pid, , space] = own.trim().split(" ");
    await writeFile(join(folder, "lock"), `${pid ?? ""} 1 ${space ?? ""}\n`);
    expect(await openCode(folder)).toBeUndefined();
  });

  test("a lock from another space of numbers is taken over once nobody touches it", async () => {
    const folder = await createFolder();
    const path = join(folder, "lock");
    await writeFile(path, "1 1 elsewhere\n");
    const old = new Date(Date.now() - 60_000);
    await utimes(path, old, old);
    expect(await openCode(folder)).toBeUndefined();
  });

  test("only one of many that come at once gets it", async () => {
    const folder = await createFolder();
    await writeFile(join(folder, "lock"), `${await processNumber(false)} ? ${(await spaceOf(folder)) ?? ""}\n`);
    const script = `
      const { lockFolder } = await import(${JSON.stringify(new URL("../src/folder-lock.ts", import.meta.url).href)});
      await lockFolder(${JSON.stringify(folder)}).then(() => console.log("held"), () => console.log("refused"));
      await new Promise((resolve) => setTimeout(resolve, 1500));`;
    const outputs = await Promise.all(Array.from({ length: 4 }, () => run(script)));
    expect(outputs.filter((output) => output === "held\n")).toHaveLength(1);
  });

  test("and what is in it, is for its owner alone", async () => {
    const folder = join(await createFolder(), "outbox");
    const { close } = await openOutboxFolder(folder, LIMITS);
    expect((await stat(folder)).mode & 0o777).toBe(0o700);
    for (const name of ["sender.key", "session.key", "outbox", "receipts", "lock"]) {
      expect((await stat(join(folder, name))).mode & 0o077, `mode of ${name}`).toBe(0);
    }
    await close();
  });

  test.each(["", "zz", "00".repeat(31), "00".repeat(33)])("refuses %j as a key", async (text) => {
    const folder = await createFolder();
    await writeFile(join(folder, "sender.key"), text);
    expect(await openCode(folder)).toBe("outbox-corrupt");
    // It let go of the lock.
    await rm(join(folder, "sender.key"));
    expect(await openCode(folder)).toBeUndefined();
  });

  test("that cannot be made is unavailable, and says why", async () => {
    const file = join(await createFolder(), "file");
    await writeFile(file, "");
    const { client, errors } = startClient(new LogDouble(), { outbox: join(file, "outbox") });
    expect(await rejectionCode(client.record(login()))).toBe("audit-unavailable");
    expect(client.status()).toMatchObject({ state: "halted", lastError: { code: "audit-unavailable" } });
    expect(errors).toMatchObject([{ code: "audit-unavailable", cause: { code: "ENOTDIR" } }]);
  });

  test("refuses another key than its stream's", async () => {
    const folder = await createFolder();
    const log = new LogDouble();
    const first = startClient(log, { outbox: folder });
    await first.client.flush();
    await first.client.close();
    await writeFile(join(folder, "sender.key"), `${"ab".repeat(32)}\n`);
    expect(await openCode(folder)).toBe("outbox-corrupt");
  });

  test("refuses to go on for another log", async () => {
    const folder = await createFolder();
    const log = new LogDouble();
    const first = startClient(log, { outbox: folder });
    await first.client.flush();
    await first.client.close();
    const { vkey } = createSigner({ name: "log.example/other", type: "ed25519", seed: new Uint8Array(32) });
    const second = startClient(log, { outbox: folder, policy: `log ${vkey}\nquorum none\n` });
    expect(await rejectionCode(second.client.record(login()))).toBe("outbox-corrupt");
  });

  test("that is lost gives a new stream from sequence 1", async () => {
    const folder = await createFolder();
    const log = new LogDouble();
    for (let life = 0; life < 2; life += 1) {
      const { client } = startClient(log, { outbox: folder });
      await client.record(login(), { until: "witnessed" });
      await client.close();
      await rm(folder, { recursive: true });
    }
    expect(log.leaves.map((leaf) => decodeLeaf(leaf).sequence)).toEqual([1, 2, 1, 2]);
    const keys = new Set(log.posts.map((body) => encodeHex(decodeBatch(body).publicKey)));
    expect(keys.size).toBe(2);
  });

  /** A folder with 21 events in as many frames; the bytes of its journal. */
  async function filledFolder(): Promise<{ folder: string; path: string; whole: Buffer }> {
    const folder = await createFolder();
    const client = startClient(new LogDouble(), { outbox: folder, fetch: () => Promise.reject(new TypeError("off")) });
    for (let at = 0; at < 20; at += 1) await client.client.record(login(`u_${at}`));
    await client.client.close();
    const path = join(folder, "outbox");
    return { folder, path, whole: await readFile(path) };
  }

  test("whose journal was cut off anywhere is refused, and left as it is", async () => {
    const { folder, path, whole } = await filledFolder();
    for (let length = 0; length < whole.length; length += length < whole.length - 200 ? 97 : 1) {
      await writeFile(path, whole.subarray(0, length));
      expect(await openCode(folder), `${length} bytes`).toBe("outbox-corrupt");
      expect((await stat(path)).size).toBe(length);
    }
    await writeFile(path, whole);
    expect(await openCode(folder)).toBeUndefined();
  });

  test("whose journal was cut at a frame's end says what is missing and what to do, and takes nothing", async () => {
    const { folder, path, whole } = await filledFolder();
    const half = whole.indexOf("TSJ1", whole.length / 2);
    await writeFile(path, whole.subarray(0, half));
    const { client, errors } = startClient(new LogDouble(), { outbox: folder });
    expect(await rejectionCode(client.record(login()))).toBe("outbox-corrupt");
    expect(errors).toMatchObject([{ code: "outbox-corrupt", details: { end: half, synced: whole.length } }]);
    expect(errors[0]?.message).toMatch(/events that were recorded are missing.*move its folder away/);
  });

  test("whose journal was removed is refused: it does not begin anew", async () => {
    const { folder, path, whole } = await filledFolder();
    await rm(path);
    expect(await openCode(folder)).toBe("outbox-corrupt");
    await expect(stat(path)).rejects.toThrow("ENOENT");
    await writeFile(path, whole);
    expect(await openCode(folder)).toBeUndefined();
  });

  test("with a frame that a crash tore after what was synced goes on", async () => {
    const { folder, path, whole } = await filledFolder();
    await writeFile(path, Buffer.concat([whole, whole.subarray(0, 10)]));
    expect(await openCode(folder)).toBeUndefined();
    expect((await stat(path)).size).toBe(whole.length);
  });

  test("of before there were marks, or whose mark lost its bytes to a power cut, goes on and is marked", async () => {
    const { folder, path, whole } = await filledFolder();
    for (const mark of [undefined, "", "\0".repeat(43)]) {
      await (mark === undefined ? rm(`${path}.mark`) : writeFile(`${path}.mark`, mark));
      expect(await openCode(folder)).toBeUndefined();
      expect(await readFile(`${path}.mark`, "latin1")).toContain(String(whole.length));
    }
  });

  test("says that it opens until what waits in it is known", async () => {
    const outbox = await createFolder();
    const log = new LogDouble();
    log.hooks.intercept = () => {
      throw new TypeError("fetch failed");
    };
    const { client: before } = startClient(log, { outbox });
    expect(before.status()).toMatchObject({ state: "opening", queued: 0 });
    await before.record(login());
    await before.close();
    const { client } = startClient(log, { outbox });
    expect(client.status().state).toBe("opening");
    await client.record(login());
    expect(client.status()).toMatchObject({ queued: 3 });
    expect(["ok", "offline"]).toContain(client.status().state);
  });

  test("whose mark has one line, as those of before, goes on, and has two then", async () => {
    const { folder, path, whole } = await filledFolder();
    const line = (await readFile(`${path}.mark`)).subarray(0, LINE_BYTES);
    await writeFile(`${path}.mark`, line);
    await writeFile(path, whole.subarray(0, -1));
    expect(await openCode(folder)).toBe("outbox-corrupt");
    await writeFile(path, whole);
    expect(await openCode(folder)).toBeUndefined();
    const mark = await readFile(`${path}.mark`);
    expect([mark.subarray(0, LINE_BYTES), mark.subarray(LINE_OFFSET)]).toEqual([line, line]);
  });
});

const LINE_BYTES = 43;
const LINE_OFFSET = 4096;

async function spaceOf(folder: string): Promise<string | undefined> {
  const beside = join(folder, "beside");
  await mkdir(beside);
  const release = await lockFolder(beside);
  const text = await readFile(join(beside, "lock"), "utf8");
  await release();
  return text.trim().split(" ")[2];
}

async function run(script: string): Promise<string> {
  const child = spawn(process.execPath, ["--conditions=ws-source", "--input-type=module", "-e", script]);
  let output = "";
  child.stdout.on("data", (part) => (output += String(part)));
  await new Promise((resolve) => child.once("exit", resolve));
  return output;
}

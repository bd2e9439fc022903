import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, onTestFinished, test } from "vitest";
import { rejectionCode } from "../../../test/support/errors.ts";
import { createFaultyFileSystem } from "../../storage/test/faulty-file-system.ts";
import { openWitness } from "../src/index.ts";
import { LossyDisk } from "./lossy-disk.ts";
import { temporaryFolder } from "../../../test/support/temporary-folder.ts";
import { TestLog } from "./test-log.ts";
import { START_MS, TestWitness, witnessFolder } from "./test-witness.ts";

const program = fileURLToPath(new URL("./serve-process.ts", import.meta.url));

/** Starts a witness in a process of its own. */
async function startProcess(dir: string): Promise<{ url: string; kill: () => Promise<void> }> {
  const child = spawn(process.execPath, ["--conditions=ws-source", program, dir], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const [first] = (await once(child.stdout, "data")) as [Buffer];
  const kill = async (): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, "exit");
    child.kill("SIGKILL");
    await ended;
  };
  onTestFinished(kill);
  return { url: first.toString().trim(), kill };
}

describe("durability", () => {
  test("C-143 a witness killed after its answer remembers what it answered", async () => {
    const log = new TestLog({ size: 40 });
    const dir = await witnessFolder([log]);
    let size = 0;
    for (let round = 0; round < 4; round += 1) {
      const { url, kill } = await startProcess(dir);
      for (let step = 0; step < 5; step += 1) {
        const response = await fetch(`${url}/add-checkpoint`, {
          method: "POST",
          body: new Uint8Array(log.request(size, size + 2)),
        });
        expect(response.status).toBe(200);
        size += 2;
      }
      await kill();
    }
    const witness = await TestWitness.open(dir);
    expect(witness.sizeOf(log)).toBe(BigInt(size));
  });

  test("C-143 a disk that forgets what was not synced has every cosigned checkpoint", async () => {
    const log = new TestLog();
    const dir = await witnessFolder([log]);
    const disk = new LossyDisk(dir);
    const witness = await TestWitness.open(dir, { fileSystem: disk });
    for (let size = 0; size < 8; size += 1) {
      const { body: lines } = await witness.add(log.request(size, size + 1));
      const after = temporaryFolder();
      disk.losePower(after);
      const restarted = await TestWitness.open(after);
      expect((await restarted.latest(log)).body).toBe(log.checkpoint(size + 1) + lines);
    }
  });

  test("C-146 dying at any write leaves the old state or the new, and no cosignature that is not remembered", async () => {
    const log = new TestLog();
    let finished = false;
    for (let calls = 0; !finished; calls += 1) {
      expect(calls).toBeLessThan(50);
      const dir = await witnessFolder([log]);
      const disk = new LossyDisk(dir);
      const witness = await TestWitness.open(dir, { fileSystem: disk });
      await witness.add(log.request(0, 3));
      disk.callsLeft = calls;
      const reply = await witness.add(log.request(3, 8));
      finished = reply.status === 200;
      const after = temporaryFolder();
      disk.losePower(after);
      const restarted = await TestWitness.open(after);
      const size = restarted.sizeOf(log);
      expect(finished ? [8n] : [3n, 8n]).toContain(size);
      expect(reply.body.includes("—")).toBe(finished);
      expect((await restarted.add(log.request(Number(size), 13))).status).toBe(200);
    }
  });

  test.each(["open", "write", "sync", "rename"] as const)(
    "C-147 when %s fails there is no cosignature, and the state is read again",
    async (call) => {
      const log = new TestLog({ size: 40 });
      const fileSystem = createFaultyFileSystem();
      const witness = await TestWitness.start([log], { fileSystem });
      await witness.add(log.request(0, 1));
      for (const when of ["before", "after"] as const) {
        for (let after = 0; after < 3; after += 1) {
          const size = Number(witness.sizeOf(log));
          fileSystem.fault = { call, when, after, code: "ENOSPC" };
          const reply = await witness.add(log.request(size, size + 1));
          fileSystem.fault = undefined;
          if (reply.status === 200) continue;
          expect(reply.status).toBe(503);
          expect(reply.headers.get("retry-after")).toMatch(/^[1-9]$/);
          expect(reply.body).not.toContain("—");
          expect(witness.witness.status().reasons).toMatchObject([{ code: "persist-failed" }]);
          // The new state may have landed: then the size says so, and the log goes on from there.
          const again = await witness.add(log.request(size, size + 1));
          const landed = again.status === 409;
          expect({ status: again.status, body: landed ? again.body : "" }).toEqual(
            landed ? { status: 409, body: `${size + 1}\n` } : { status: 200, body: "" },
          );
          expect((await witness.add(log.request(size + 1, size + 2))).status).toBe(200);
          expect(witness.witness.status().reasons).toEqual([]);
        }
      }
    },
  );

  test("C-147 a folder that is gone gives 503, and the witness recovers when it is back", async () => {
    const log = new TestLog();
    const dir = await witnessFolder([log]);
    const witness = await TestWitness.open(dir);
    await witness.add(log.request(0, 3));
    renameSync(join(dir, "state"), join(dir, "away"));
    expect((await witness.add(log.request(3, 5))).status).toBe(503);
    expect((await witness.add(log.request(3, 5))).status).toBe(503);
    renameSync(join(dir, "away"), join(dir, "state"));
    expect((await witness.add(log.request(3, 5))).status).toBe(200);
  });

  test("C-155 refuses to run twice on one folder", async () => {
    const dir = await witnessFolder([]);
    const witness = await TestWitness.open(dir);
    expect(await rejectionCode(openWitness({ dir }))).toBe("storage-locked");
    await witness.witness.close();
    await (await openWitness({ dir })).close();
  });

  test("C-150 the time of the last cosignature survives a restart", async () => {
    const log = new TestLog();
    const dir = await witnessFolder([log]);
    const first = await TestWitness.open(dir);
    await first.add(log.request(0, 3));
    await first.witness.close();
    const second = await TestWitness.open(dir);
    second.clock.nowMs = START_MS - 3_600_000;
    const reply = await second.add(log.request(3, 5));
    expect(second.timesOf(reply, log.checkpoint(5))[0]).toBe(BigInt(START_MS / 1000));
  });
});

describe("the folder at start", () => {
  async function usedFolder(log: TestLog): Promise<string> {
    const dir = await witnessFolder([log]);
    const witness = await TestWitness.open(dir);
    for (const [from, to] of [
      [0, 3],
      [3, 5],
      [5, 8],
    ] as const)
      await witness.add(log.request(from, to));
    await witness.witness.close();
    return dir;
  }

  test("an older copy of a state is refused", async () => {
    const log = new TestLog();
    const dir = await usedFolder(log);
    const path = join(dir, "state", `${log.hash}.json`);
    const older = readFileSync(path);
    const witness = await TestWitness.open(dir);
    await witness.add(log.request(8, 9));
    await witness.add(log.request(9, 10));
    await witness.witness.close();
    writeFileSync(path, older);
    expect(await rejectionCode(openWitness({ dir }))).toBe("state-rolled-back");
  });

  test("an older copy of the high-water file is refused", async () => {
    const log = new TestLog();
    const dir = await usedFolder(log);
    const older = readFileSync(join(dir, "high-water"));
    const witness = await TestWitness.open(dir);
    await witness.add(log.request(8, 9));
    await witness.add(log.request(9, 10));
    await witness.witness.close();
    writeFileSync(join(dir, "high-water"), older);
    expect(await rejectionCode(openWitness({ dir }))).toBe("state-rolled-back");
  });

  test("a state that is missing, and a high-water file that is missing, are refused", async () => {
    for (const lost of [(log: TestLog) => join("state", `${log.hash}.json`), () => "high-water"]) {
      const log = new TestLog();
      const dir = await usedFolder(log);
      renameSync(join(dir, lost(log)), join(dir, "lost"));
      expect(await rejectionCode(openWitness({ dir }))).toBe("state-rolled-back");
      renameSync(join(dir, "lost"), join(dir, lost(log)));
      expect((await TestWitness.open(dir)).sizeOf(log)).toBe(8n);
    }
  });

  test("every flipped bit in a state is refused", async () => {
    const log = new TestLog();
    const dir = await usedFolder(log);
    const path = join(dir, "state", `${log.hash}.json`);
    const bytes = readFileSync(path);
    for (let at = 0; at < bytes.length; at += 97) {
      const flipped = Buffer.from(bytes);
      flipped[at] = Number(bytes[at]) ^ (1 << (at % 8));
      writeFileSync(path, flipped);
      expect({ at, code: await rejectionCode(openWitness({ dir })) }).toEqual({ at, code: "state-corrupt" });
    }
    writeFileSync(path, bytes);
    expect((await TestWitness.open(dir)).sizeOf(log)).toBe(8n);
  });

  test("the state of one log in the place of another is refused", async () => {
    const [log, other] = [new TestLog(), new TestLog({ origin: "log.example/b" })];
    const dir = await usedFolder(log);
    writeFileSync(join(dir, "state", `${other.hash}.json`), readFileSync(join(dir, "state", `${log.hash}.json`)));
    expect(await rejectionCode(openWitness({ dir }))).toBe("state-corrupt");
  });

  test("many logs keep their marks apart, over restarts", async () => {
    const logs = Array.from({ length: 70 }, (_, index) => new TestLog({ origin: `log.example/${index}`, size: 4 }));
    const dir = await witnessFolder(logs);
    for (const [from, to] of [
      [0, 1],
      [1, 2],
      [2, 4],
    ] as const) {
      const witness = await TestWitness.open(dir);
      const replies = await Promise.all(logs.map((log) => witness.add(log.request(from, to))));
      expect(new Set(replies.map(({ status }) => status))).toEqual(new Set([200]));
      await witness.witness.close();
    }
    const witness = await TestWitness.open(dir);
    expect(new Set(logs.map((log) => witness.sizeOf(log)))).toEqual(new Set([4n]));
    expect(existsSync(join(dir, "high-water"))).toBe(true);
  });
});

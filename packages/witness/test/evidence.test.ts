import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { encodeBase64, parseCheckpoint, parseNote, sha256, utf8 } from "@tallystick/core";
import { createFaultyFileSystem } from "../../storage/test/faulty-file-system.ts";
import { listEvidence } from "../src/index.ts";
import { TestLog, logSigner, requestBody } from "./test-log.ts";
import { TestWitness, witnessFolder } from "./test-witness.ts";

const log = new TestLog({ size: 40 });
const fork = new TestLog({ size: 40, salt: "fork" });

describe("evidence of a fork", () => {
  test("C-137 both heads are kept, signed, when another root is shown for the size cosigned last", async () => {
    const dir = await witnessFolder([log]);
    const witness = await TestWitness.open(dir);
    await witness.add(log.request(0, 5));
    expect((await witness.add(fork.request(5, 5))).status).toBe(422);
    const [evidence, ...more] = await listEvidence({ dir });
    expect(more).toEqual([]);
    expect(evidence).toMatchObject({ format: "tallystick/fork@1", origin: log.origin, proven: true });
    expect(Object.keys(JSON.parse(readFileSync(evidence?.path ?? "", "utf8")) as object)).toEqual([
      "format",
      "origin",
      "checkpoints",
    ]);
    const [cosigned = "", refused = ""] = evidence?.checkpoints ?? [];
    expect(cosigned).toBe((await witness.latest(log)).body);
    expect(refused).toBe(fork.checkpoint(5));
    expect(evidence).not.toHaveProperty("proof");
  });

  test("C-137 also where the old size is stale, so that the answer is 409", async () => {
    const dir = await witnessFolder([log]);
    const witness = await TestWitness.open(dir);
    await witness.add(log.request(0, 5));
    expect((await witness.add(fork.request(0, 5))).status).toBe(409);
    expect(await listEvidence({ dir })).toMatchObject([{ proven: true }]);
  });

  test("heads of two sizes are kept with the proof that failed, as not proven", async () => {
    const dir = await witnessFolder([log]);
    const witness = await TestWitness.open(dir);
    await witness.add(log.request(0, 5));
    expect((await witness.add(fork.request(5, 9))).status).toBe(422);
    const [evidence] = await listEvidence({ dir });
    expect(evidence).toMatchObject({ proven: false, proof: fork.proof(5, 9).map(encodeBase64) });
    const sizes = evidence?.checkpoints.map((note) => parseCheckpoint(parseNote(note).text).size);
    expect(sizes).toEqual([5n, 9n]);
  });

  test("nothing is kept of what the log did not sign, or of heads that may well go together", async () => {
    const dir = await witnessFolder([log]);
    const witness = await TestWitness.open(dir);
    await witness.add(log.request(0, 5));
    const unsigned = fork.checkpoint(5, [logSigner("log.example/other")]);
    for (const body of [
      requestBody({ old: 5, checkpoint: unsigned }),
      log.request(0, 9),
      log.request(3, 5),
      fork.request(3, 9),
    ])
      await witness.add(body);
    expect(await listEvidence({ dir })).toEqual([]);
  });

  test("the same fork is kept once, also after a restart", async () => {
    const dir = await witnessFolder([log]);
    for (let round = 0; round < 2; round += 1) {
      const witness = await TestWitness.open(dir);
      await witness.add(log.request(0, 5));
      for (let time = 0; time < 3; time += 1) await witness.add(fork.request(5, 5));
      await witness.witness.close();
    }
    expect(await listEvidence({ dir })).toHaveLength(1);
  });

  test("files are bounded: of proven forks the first stay, of others the newest", async () => {
    const dir = await witnessFolder([log]);
    const witness = await TestWitness.open(dir);
    await witness.add(log.request(0, 5));
    const roots = Array.from({ length: 20 }, (_, index) => sha256(utf8(`root ${index}`)));
    for (const rootHash of roots) {
      await witness.add(requestBody({ old: 5, checkpoint: log.sign({ size: 5, rootHash }) }));
      await witness.add(requestBody({ old: 5, proof: log.proof(5, 9), checkpoint: log.sign({ size: 9, rootHash }) }));
    }
    const kept = await listEvidence({ dir });
    const rootsOf = (proven: boolean): string[] =>
      kept.flatMap((file) =>
        file.proven === proven ? encodeBase64(parseCheckpoint(parseNote(file.checkpoints[1]).text).rootHash) : [],
      );
    expect(rootsOf(true)).toEqual(roots.slice(0, 16).map(encodeBase64));
    expect(rootsOf(false)).toEqual(roots.slice(4).map(encodeBase64));
    expect(readdirSync(join(dir, "evidence"))).toHaveLength(32);
    expect(witness.witness.status().evidence).toBe(32);
    for (const { path } of kept)
      expect(JSON.parse(readFileSync(path, "utf8"))).toHaveProperty("format", "tallystick/fork@1");
  });

  test("where it cannot be written the answer is the same", async () => {
    const dir = await witnessFolder([log]);
    const fileSystem = createFaultyFileSystem();
    const errors: string[] = [];
    const logger = { info: () => {}, warn: () => {}, error: (message: string) => errors.push(message) };
    const witness = await TestWitness.open(dir, { fileSystem, logger });
    await witness.add(log.request(0, 5));
    fileSystem.fault = { call: "write", code: "ENOSPC" };
    expect((await witness.add(fork.request(5, 5))).status).toBe(422);
    expect(errors).toContain("could not keep evidence against a log");
  });

  test("there is none in a new folder", async () => {
    expect(await listEvidence({ dir: await witnessFolder([]) })).toEqual([]);
  });
});

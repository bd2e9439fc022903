/** Kills a writing process at any moment, and opens what it left. */
import { spawn } from "node:child_process";
import { join } from "node:path";
import { expect, test } from "vitest";
import { indexKey, openKeyStore, openLevelStorage } from "../src/index.ts";
import { temporaryFolder } from "../../../test/support/temporary-folder.ts";

const ROUNDS = 8;
const child = new URL("crash-child.ts", import.meta.url).pathname;

interface Acknowledged {
  readonly version: number;
  readonly signed: number;
}

/** Runs the child until `killAfterMs` after its first line, and gives the last line that it wrote whole. */
async function runAndKill(folder: string, killAfterMs: number): Promise<Acknowledged> {
  const process_ = spawn(process.execPath, ["--conditions=ws-source", child, folder], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  let errors = "";
  process_.stderr.on("data", (text: Buffer) => (errors += text.toString()));
  await new Promise<void>((resolve) => {
    process_.stdout.on("data", (text: Buffer) => {
      if (output === "") setTimeout(() => process_.kill("SIGKILL"), killAfterMs);
      output += text.toString();
    });
    process_.on("close", () => resolve());
  });
  const line = output.slice(0, output.lastIndexOf("\n")).split("\n").at(-1) ?? "";
  expect(errors).toBe("");
  const [version = 0, signed = 0] = line.split(" ").map(Number);
  return { version, signed };
}

test("C-255 a kill at any moment loses nothing that was acknowledged, and the next process takes the folder over", async () => {
  const folder = temporaryFolder();
  for (let round = 0; round < ROUNDS; round++) {
    const acknowledged = await runAndKill(folder, 20 + round * 11.7);
    expect(acknowledged.version).toBeGreaterThan(0);

    const storage = await openLevelStorage({ path: join(folder, "log") });
    const keys = await openKeyStore({ path: join(folder, "keys"), masterKey: new Uint8Array(32).fill(9) });
    const version = (await storage.readHead("integrated"))?.version ?? 0;
    const signed = (await storage.readHead("signed"))?.version ?? 0;
    expect(version - acknowledged.version).toBeOneOf([0, 1]);
    expect(signed - acknowledged.signed).toBeOneOf([0, 1]);

    for (let at = 0; at < version; at++) {
      const rows = await storage.getRows(
        "leaf",
        Array.from({ length: 20 }, (_, row) => `${indexKey(at)}-${row}`),
      );
      const state = keys.state("person", indexKey(at));
      const key = keys.get("person", indexKey(at));
      // The key of every row that is there was durable before it, unless it was destroyed since.
      expect(state === "live" || at % 10 === 0).toBe(true);
      for (const row of rows)
        expect(state === "destroyed" || Buffer.compare(row ?? Buffer.alloc(0), key ?? Buffer.alloc(1)) === 0).toBe(
          true,
        );
    }
    // Of the commit that was under way there is all or nothing.
    expect(await storage.getRow("leaf", `${indexKey(version)}-0`)).toBeUndefined();
    await keys.close();
    await storage.close();
  }
}, 60_000);

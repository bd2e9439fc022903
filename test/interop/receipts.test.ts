/** Our receipts, verified by the code of transparency-dev and of the Go checksum database. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { type SmallLog, createSmallLog } from "../support/small-log.ts";
import { GO_BUILD_TIMEOUT_MS, TLOG, buildGo, describeWithGo, runGo } from "./go.ts";

const ENTRIES = 300;

describeWithGo("a receipt of ours", () => {
  let binary: string;
  let log: SmallLog;
  /** Ed25519 and ML-DSA-44: the log's, then those of its three witnesses. */
  let cosigners: readonly string[];
  let logVkey: string;

  beforeAll(async () => {
    binary = await buildGo(TLOG, "./receipt");
    log = await createSmallLog(3);
    await log.report(ENTRIES);
    const witnesses = log.policy.witnesses.map(({ verifier }) => verifier.vkey);
    logVkey = log.made.vkeys[0] ?? "";
    cosigners = [log.made.vkeys[1] ?? "", ...witnesses];
  }, GO_BUILD_TIMEOUT_MS);

  afterAll(async () => log?.remove());

  async function receiptOf(index: number, query = ""): Promise<string> {
    const headers = { authorization: `Bearer ${log.made.tokens.writer}` };
    const response = await fetch(`${log.url()}/v1/receipts/${index}${query}`, { headers });
    expect(response.status).toBe(200);
    return response.text();
  }

  async function verify(receipt: string): Promise<{ index: number; cosigners: string[] }> {
    const { stdout } = await runGo(binary, ["verify", logVkey, ...cosigners], receipt);
    return JSON.parse(stdout) as { index: number; cosigners: string[] };
  }

  test.each([0, 1, 7, 127, 128, 254, 255, 256, 257, ENTRIES - 1])(
    "C-215 for index %i is verified by Go",
    async (index) => {
      const verdict = await verify(await receiptOf(index));
      expect(verdict).toMatchObject({ origin: "test.localhost/app", index });
      // Two of three witnesses, by one key each.
      expect(verdict.cosigners).toHaveLength(2);
    },
  );

  test("C-215 with all signatures is verified by Go, those by ML-DSA-44 too", async () => {
    const receipt = await receiptOf(5, "?signatures=all");
    const { cosigners: verified } = await verify(receipt);
    const lines = receipt.split("\n").filter((line) => line.startsWith("— "));
    // The one line besides them is the log's own by Ed25519.
    expect(verified).toHaveLength(lines.length - 1);
    expect(verified.length).toBeGreaterThanOrEqual(5);
    expect(verified).toContain(log.made.vkeys[1]);
  });

  test.each([
    ["another index", (text: string) => text.replace("index 5\n", "index 6\n")],
    ["another entry", (text: string) => text.replace(/^extra (.*)A(.*)$/m, "extra $1B$2")],
    ["another hash", (text: string) => text.replace(/(?<=^index 5\n.)./m, (found) => (found === "A" ? "B" : "A"))],
    ["a hash too few", (text: string) => text.replace(/(?<=^index 5\n).*\n/m, "")],
    [
      "another size",
      (text: string) => text.replace(/(?<=^test\.localhost\/app\n)(\d+)/m, (size) => `${Number(size) + 1}`),
    ],
    [
      "another signature",
      (text: string) => text.replace(/(?<=^— test\.localhost\/app .{20})./m, (found) => (found === "A" ? "B" : "A")),
    ],
  ])("C-215 with %s is refused by Go", async (_, change) => {
    const receipt = await receiptOf(5);
    const changed = change(receipt);
    expect(changed).not.toBe(receipt);
    await expect(verify(changed)).rejects.toThrow(/Command failed/);
  });
});

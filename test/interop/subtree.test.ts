/** Subtrees that our witness cosigns, verified by the code of transparency-dev. */
import { TileProver, createHttpLogReader, verifyHead } from "@tallystick/client";
import { encodeBase64, parseVkey, planSubtreeConsistency, planSubtreeHash } from "@tallystick/core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type SmallLog, createSmallLog } from "../support/small-log.ts";
import { GO_BUILD_TIMEOUT_MS, TLOG, buildGo, describeWithGo, runGo } from "./go.ts";

const ORIGIN = "test.localhost/app";

describeWithGo("a subtree cosigned by our witness", () => {
  let binary: string;
  let log: SmallLog;

  beforeAll(async () => {
    binary = await buildGo(TLOG, "./subtree");
    log = await createSmallLog(1);
    await log.report(700);
  }, GO_BUILD_TIMEOUT_MS);

  afterAll(async () => log?.remove());

  test.each([
    [0, 1],
    [0, 700],
    [5, 6],
    [256, 512],
    [512, 700],
    [640, 699],
  ])("of the leaves from %i to %i is accepted by Go, and not as another one", async (start, end) => {
    const reader = createHttpLogReader({ url: log.url() });
    const checkpoint = await reader.checkpoint();
    const { size } = verifyHead({ policy: log.policy }, checkpoint).checkpoint;
    const prover = new TileProver(reader, size);
    const [hash = new Uint8Array()] = await prover.prove(planSubtreeHash({ start, end }));
    const proof = await prover.prove(planSubtreeConsistency({ start, end, size }));
    const lines = [`subtree ${start} ${end}`, ...[hash, ...proof].map(encodeBase64), "", checkpoint];
    const url = `${log.witnesses[0]?.served.url}/sign-subtree`;
    const response = await fetch(url, { method: "POST", body: lines.join("\n") });
    expect(response.status).toBe(200);
    const line = (await response.text()).trimEnd();
    const vkey =
      log.policy.witnesses.map(({ verifier }) => verifier.vkey).find((key) => parseVkey(key).type === 6) ?? "";
    const verify = async (from: number): Promise<unknown> =>
      runGo(binary, [vkey, ORIGIN, String(from), String(end), encodeBase64(hash), line]);
    await verify(start);
    await expect(verify(start + 1)).rejects.toThrow(/does not hold/);
  });
});

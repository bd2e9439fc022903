/** Fifty kills; `npm run test:crash` makes a thousand. */
import { expect, test } from "vitest";
import { runKills } from "./kill-run.ts";

test("C-55 C-255 kills of log, witness and client lose nothing that was acknowledged, log nothing twice, contradict no head", async () => {
  const { kills, acknowledged, recorded, heads, receipts } = await runKills({ kills: 50, seed: 1 });
  expect(kills).toEqual({ log: 17, witness: 17, client: 16 });
  for (const count of [acknowledged, recorded]) expect(count).toBeGreaterThan(50);
  for (const count of [heads, receipts]) expect(count).toBeGreaterThan(1);
}, 240_000);

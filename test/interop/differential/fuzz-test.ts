/** The one test of a run, for however many inputs. */
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { vectorsDir } from "../../support/vectors.ts";
import { GO_BUILD_TIMEOUT_MS, buildGo, describeWithGo } from "../go.ts";
import { type Report, formatTallies, fuzz } from "./fuzz.ts";
import { Peer } from "./peer.ts";
import { createMakers } from "./seeds.ts";
import { SUBJECTS } from "./subjects.ts";

/** Another seed makes other inputs: TALLYSTICK_FUZZ_SEED=7. */
const SEED = Number(process.env["TALLYSTICK_FUZZ_SEED"] ?? 1);
/** Inputs that everybody refuses at once would show nothing. */
const TAKEN_MIN = 0.08;

/** The folder of the Go program. */
const PEER: string = fileURLToPath(new URL("peer", import.meta.url));

/** Builds the Go program and starts it. */
export async function startPeer(): Promise<Peer> {
  return new Peer(await buildGo(PEER));
}

/** Fuzzes with `count` inputs; `report` gets what was seen. */
export function describeFuzzing(count: number, report: (report: Report) => void): void {
  describeWithGo("differential fuzzing", () => {
    let peer: Peer;

    beforeAll(async () => {
      peer = await startPeer();
    }, GO_BUILD_TIMEOUT_MS);

    afterAll(async () => {
      expect(await peer.close()).toBe(0);
    });

    const name = `${count} inputs of seed ${SEED}: Go's parsers and ours differ in documented ways only`;
    test.runIf(vectorsDir() !== undefined)(`${name} (skipped without the vectors)`, async () => {
      const seen = await fuzz({ peer, makers: createMakers(), seed: SEED, count });
      report(seen);
      expect(seen.faults.join("\n")).toBe("");
      const shares = SUBJECTS.map(({ name }) => ({ name, share: takenShare(seen, name) }));
      expect(shares.filter(({ share }) => share < TAKEN_MIN)).toEqual([]);
    });
  });
}

function takenShare({ tallies }: Report, name: string): number {
  const { inputs = 0, taken = 0 } = tallies.get(name) ?? {};
  return inputs === 0 ? 0 : taken / inputs;
}

/** Shows a report on standard output. */
export function printReport(report: Report): void {
  process.stdout.write(`${formatTallies(report)}\n`);
}

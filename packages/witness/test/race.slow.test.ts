/** Two heads of a log that do not go together, sent at the same moment, over and over. */
import { describe, expect, onTestFinished, test } from "vitest";
import { encodeBase64, parseCheckpoint, parseNote, proveConsistency, utf8 } from "@tallystick/core";
import { MemoryTree } from "../../core/test/memory-tree.ts";
import { serveWitness } from "../src/index.ts";
import { TestLog, requestBody } from "./test-log.ts";
import { witnessFolder } from "./test-witness.ts";

const LOGS = 50;
const ROUNDS = 20;

/** A log whose operator offers two continuations of what was cosigned, and goes on with the one that the witness took. */
class ForkingLog {
  readonly log: TestLog;
  entries: readonly string[] = [];

  constructor(origin: string) {
    this.log = new TestLog({ origin, size: 0 });
  }

  /** The entries cosigned so far and `more`, as a request. */
  continuation(more: readonly string[]): {
    readonly entries: readonly string[];
    readonly body: Uint8Array;
    readonly root: string;
  } {
    const entries = [...this.entries, ...more];
    const tree = MemoryTree.of(entries.map((entry) => utf8(entry)));
    const rootHash = tree.range.rootHash();
    const [from, to] = [this.entries.length, entries.length];
    const proof = proveConsistency({ from, to, getNode: tree.getNode });
    const checkpoint = this.log.sign({ size: to, rootHash });
    return { entries, body: requestBody({ old: from, proof, checkpoint }), root: encodeBase64(rootHash) };
  }
}

/** The suffixes of a round: of one size or of two, so that in either case only one of them can be in the log. */
function suffixesOf(round: number): readonly [string[], string[]] {
  const left = Array.from({ length: 1 + (round % 3) }, (_, index) => `left ${round} ${index}`);
  const right = Array.from({ length: 1 + (round % 2) }, (_, index) => `right ${round} ${index}`);
  return round % 4 < 2 ? [left, right] : [right, left];
}

describe("a race of two heads that do not go together", () => {
  test(`C-144 C-145 of ${LOGS * ROUNDS} pairs exactly one head each is cosigned, and the log goes on from it only`, async () => {
    const logs = Array.from({ length: LOGS }, (_, index) => new ForkingLog(`log.example/race/${index}`));
    const served = await serveWitness({ dir: await witnessFolder(logs.map(({ log }) => log)) });
    onTestFinished(() => served.close());
    const post = (body: Uint8Array): Promise<Response> =>
      fetch(`${served.url}/add-checkpoint`, { method: "POST", body: new Uint8Array(body) });

    let cosigned = 0;
    const race = async (forking: ForkingLog, round: number): Promise<void> => {
      const heads = suffixesOf(round).map((suffix) => forking.continuation(suffix));
      const replies = await Promise.all(
        heads.map(async (head) => {
          const reply = await post(head.body);
          return { ...head, status: reply.status, text: await reply.text() };
        }),
      );
      const [won, ...others] = replies.filter(({ status }) => status === 200);
      const [lost] = replies.filter(({ status }) => status !== 200);
      expect(others).toEqual([]);
      if (won === undefined || lost === undefined) throw new Error("neither head was cosigned, or both");
      expect([lost.status, lost.text]).toEqual([409, `${won.entries.length}\n`]);
      const latest = await (await fetch(`${served.url}/${forking.log.hash}/checkpoint`)).text();
      const { size, rootHash } = parseCheckpoint(parseNote(latest).text);
      expect([size, encodeBase64(rootHash)]).toEqual([BigInt(won.entries.length), won.root]);
      expect(latest.endsWith(won.text)).toBe(true);
      forking.entries = won.entries;
      cosigned += 1;
    };
    await Promise.all(
      logs.map(async (forking) => {
        for (let round = 0; round < ROUNDS; round += 1) await race(forking, round);
      }),
    );
    expect(cosigned).toBe(LOGS * ROUNDS);
  }, 120_000);
});

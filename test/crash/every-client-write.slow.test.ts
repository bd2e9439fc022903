/** Writes of an application with an outbox that go wrong: all of those to its journal, a sample of the others. */
import { describe, expect, test } from "vitest";
import { type ClientPoints, failClientWrites, failJournalWrites, failReceiptWrites } from "./every-client-write.ts";

const STEP = 16;

type Case = Pick<ClientPoints, "fault" | "dies">;

const CASES: readonly Case[] = (["before", "after", "torn"] as const).flatMap((fault) => [
  { fault, dies: false },
  { fault, dies: true },
]);

describe.each(CASES)("a write that goes wrong ($fault; the process ends there: $dies)", ({ fault, dies }) => {
  test("C-258 in a journal: what was acknowledged is there, once, through a rewrite", async () => {
    expect(await failJournalWrites({ fault, dies, from: 0, step: 1 })).toBeGreaterThan(15);
  });

  test("in receipts of which some are forgotten: the others stay, and what is said to be forgotten is", async () => {
    expect(await failReceiptWrites({ fault, dies, from: 0, step: 1 })).toBeGreaterThan(15);
  });

  test("C-258 in an outbox: what was promised is in the log, once", async () => {
    const from = Math.floor(Math.random() * STEP);
    expect(await failClientWrites({ fault, dies, from, step: STEP })).toBeGreaterThan(1);
  });
});

/**
 * Each write of a scripted run of an application with an outbox goes wrong once. What `record` promised is in the log
 * once, however it went on: in the same process, or in the next one.
 */
import { join } from "node:path";
import { decodeUtf8, utf8 } from "@tallystick/core";
import { type Report, type Tallystick, createTallystick } from "@tallystick/client";
import { newEventId } from "@tallystick/events";
import { expect } from "vitest";
import { Journal } from "../../packages/client/src/journal.ts";
import { openReceiptStore } from "../../packages/client/src/receipt-folder.ts";
import type { ReceiptStore } from "../../packages/client/src/receipts.ts";
import { LogDouble, TOKEN } from "../../packages/client/test/support/log-double.ts";
import { removeFolder, temporaryFolder } from "../support/processes.ts";
import { withFaultyFiles } from "./faulty-node-files.ts";
import { type Fault, FaultPlan } from "./faulty-writes.ts";

export interface ClientPoints {
  readonly fault: Fault;
  /** Whether the process ends with the write that goes wrong. */
  readonly dies: boolean;
  /** The first write that goes wrong. */
  readonly from: number;
  /** From one to the next. */
  readonly step: number;
}

const FLUSH_MS = 300;

/** Makes writes of a client go wrong, one a run; gives how many runs there were. */
export async function failClientWrites({ fault, dies, from, step }: ClientPoints): Promise<number> {
  for (let runs = 0; ; runs += 1) {
    const folder = await temporaryFolder();
    const plan = new FaultPlan(fault, from + step * runs, { dies });
    const application = new Application(join(folder, "outbox"));
    await withFaultyFiles(plan, async () => application.run());
    await application.expectRecovered({ dies });
    await removeFolder(folder);
    if (!plan.isOver) return runs;
  }
}

/** The same of a journal alone, with a rewrite in its midst. */
export async function failJournalWrites({ fault, dies, from, step }: ClientPoints): Promise<number> {
  for (let runs = 0; ; runs += 1) {
    const folder = await temporaryFolder();
    const path = join(folder, "journal");
    const plan = new FaultPlan(fault, from + step * runs, { dies });
    const { told, refused, isRewritten } = await withFaultyFiles(plan, async () => writeJournal(path));
    const records: string[] = [];
    const journal = await Journal.open(path, (bytes) => records.push(decodeUtf8(bytes)), { marked: true });
    await journal.close();
    const expected = isRewritten ? told.filter((text) => text !== LEAVES) : told;
    // What a process could not take back before it ended is there, behind all that it promised.
    const allowed = [expected, ...(dies ? refused.map((text) => [...expected, text]) : [])];
    // A rewrite that failed may have come through.
    const seen = allowed.map((texts) => [texts, texts.filter((text) => isRewritten || text !== LEAVES)]).flat();
    expect(seen, `write ${from + step * runs}`).toContainEqual(records);
    await removeFolder(folder);
    if (!plan.isOver) return runs;
  }
}

const LEAVES = "the first";
const STAYS = ["the second", "the third"];

interface Written {
  readonly told: readonly string[];
  readonly refused: readonly string[];
  readonly isRewritten: boolean;
}

/** Appends, rewrites the journal without its first record, appends more. */
async function writeJournal(path: string): Promise<Written> {
  const [told, refused]: [string[], string[]] = [[], []];
  let isRewritten = false;
  try {
    const journal = await Journal.open(path, () => undefined, { marked: true });
    const append = async (text: string): Promise<unknown> =>
      journal.append(utf8(text)).then(
        () => told.push(text),
        () => refused.push(text),
      );
    for (const text of [LEAVES, ...STAYS]) await append(text);
    const kept = STAYS.filter((text) => told.includes(text)).map((text) => utf8(text));
    const rewriting = journal.rewrite(
      () => kept,
      () => undefined,
    );
    isRewritten = await rewriting.then(
      () => true,
      () => false,
    );
    for (const text of ["the fourth", "the fifth"]) await append(text);
    await journal.close();
  } catch {
    // It did not open.
  }
  return { told, refused, isRewritten };
}

const THEIRS = "a".repeat(32);
const OTHERS = "b".repeat(32);

/** The same of kept receipts, of which a person's are forgotten. */
export async function failReceiptWrites({ fault, dies, from, step }: ClientPoints): Promise<number> {
  for (let runs = 0; ; runs += 1) {
    const folder = await temporaryFolder();
    const plan = new FaultPlan(fault, from + step * runs, { dies });
    const { kept, isForgotten } = await withFaultyFiles(plan, async () => keepAndForget(folder));
    const store = await openReceiptStore(folder, RECEIPT_BYTES_MAX);
    const there = await idsIn(store);
    const others = kept.filter((id) => id.startsWith("other"));
    const seen = { others: there.filter((id) => others.includes(id)), forgotten: isForgotten ? theirsOf(there) : [] };
    expect(seen, `write ${from + step * runs}`).toEqual({ others, forgotten: [] });
    await store.forget(THEIRS);
    expect(theirsOf(await idsIn(store))).toEqual([]);
    await store.close();
    await removeFolder(folder);
    if (!plan.isOver) return runs;
  }
}

const RECEIPT_BYTES_MAX = 1_000_000;
const RECEIPT_IDS = ["their 1", "other 1", "their 2", "other 2"];

function theirsOf(ids: readonly string[]): string[] {
  return ids.filter((id) => id.startsWith("their"));
}

async function idsIn(store: ReceiptStore): Promise<string[]> {
  const found = await Promise.all(RECEIPT_IDS.map(async (id) => store.get(id)));
  return found.flatMap((receipt) => (receipt === undefined ? [] : [receipt.id]));
}

async function keepAndForget(folder: string): Promise<{ kept: readonly string[]; isForgotten: boolean }> {
  const kept: string[] = [];
  let isForgotten = false;
  try {
    const store = await openReceiptStore(folder, RECEIPT_BYTES_MAX);
    for (const [index, id] of RECEIPT_IDS.entries()) {
      const person = id.startsWith("their") ? THEIRS : OTHERS;
      const keeping = store.keep([{ id, index, proof: `proof of ${id}`, person }]);
      await keeping.then(
        () => kept.push(id),
        () => undefined,
      );
    }
    isForgotten = await store.forget(THEIRS).then(
      () => true,
      () => false,
    );
    await store.close();
  } catch {
    // It did not open.
  }
  return { kept, isForgotten };
}

class Application {
  readonly #outbox: string;
  readonly #log = new LogDouble();
  readonly #reports: readonly Report[];
  /** Ids that were promised. */
  readonly #told = new Set<string>();
  /** Ids that the log took in, each as often as it did. */
  readonly #taken: string[] = [];
  #isOnline = false;

  constructor(outbox: string) {
    this.#outbox = outbox;
    this.#log.hooks.batch = ({ events }) => void this.#taken.push(...events.map(({ id }) => id));
    this.#reports = Array.from({ length: 6 }, (_, at) => ({
      id: newEventId(Date.now(), new Uint8Array(16).fill(at + 1)),
      type: "auth.login",
      outcome: "success",
      actor: { type: "user", id: `u_${at}` },
    }));
  }

  /** Two processes, one after the other: events while the log is away, a few at once, then with the log there. */
  async run(): Promise<void> {
    await this.#withClient(async (client) => {
      this.#isOnline = false;
      await this.#record(client, this.#reports.slice(0, 1));
      await this.#record(client, this.#reports.slice(1, 4));
      this.#isOnline = true;
      await this.#tryFlush(client);
    });
    await this.#withClient(async (client) => {
      await this.#record(client, this.#reports.slice(4));
      await this.#tryFlush(client);
    });
  }

  /** Nothing goes wrong any more: what was promised is there, once; what was refused is not, and can be recorded again. */
  async expectRecovered({ dies }: { readonly dies: boolean }): Promise<void> {
    this.#isOnline = true;
    await this.#withClient(async (client) => client.flush());
    for (const id of this.#told) expect(this.#taken.filter((taken) => taken === id)).toEqual([id]);
    const recorded = this.#reports.map(({ id = "" }) => id);
    const refused = recorded.filter((id) => !this.#told.has(id) && this.#taken.includes(id));
    // A process that ends before it can take back what it refused leaves it in the outbox.
    if (!dies) expect(refused).toEqual([]);
    const missing = this.#reports.filter(({ id = "" }) => !this.#taken.includes(id));
    await this.#withClient(async (client) => {
      await this.#record(client, missing);
      await client.flush();
    });
    expect(this.#taken.filter((id) => recorded.includes(id)).toSorted()).toEqual(recorded.toSorted());
  }

  async #record(client: Tallystick, reports: readonly Report[]): Promise<void> {
    await Promise.all(
      reports.map(async (report) => {
        const { id } = await client.record(report).catch(() => ({ id: "" }));
        if (id !== "") this.#told.add(id);
      }),
    );
  }

  /** Not for ever: a client whose disk does not answer waits for it. */
  async #tryFlush(client: Tallystick): Promise<void> {
    await client.flush({ timeoutMs: FLUSH_MS }).catch(() => undefined);
  }

  async #withClient(work: (client: Tallystick) => Promise<void>): Promise<void> {
    const { url, policyText: policy } = this.#log;
    const client = createTallystick({
      url,
      token: TOKEN,
      policy,
      outbox: this.#outbox,
      onError: () => undefined,
      fetch: async (input, init) => {
        if (!this.#isOnline) throw new TypeError("fetch failed");
        return this.#log.fetch(input, init);
      },
    });
    try {
      await work(client);
    } finally {
      await client.close().catch(() => undefined);
    }
  }
}

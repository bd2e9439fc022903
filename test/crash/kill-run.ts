/**
 * Kills of a log, of one of its witnesses and of a client with an outbox, at random moments and side by side, under load
 * of single events, batches and several writers; then holds what is there against all that was said.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { TileProver, auditLog, createHttpLogReader, createTallystick, verifyReceipt } from "@tallystick/client";
import {
  type Policy,
  decodeBase64,
  decodeEntryBundle,
  encodeBase64,
  hashLeaf,
  parseCheckpoint,
  parseNote,
  parsePolicy,
} from "@tallystick/core";
import { decodeLeaf, newEventId } from "@tallystick/events";
import { type InitializedServer, createToken, initServer, layoutOf } from "@tallystick/server";
import { type ServedWitness, addLog, initWitness, serveWitness } from "@tallystick/witness";
import { Random } from "../simulation/engine/random.ts";
import { removeFolder, runCommand, startCommand, temporaryFolder } from "../support/processes.ts";
import { COMPLAINT_MAX, type Running, type Victim, killAgainAndAgain, run } from "./victim.ts";

export interface KillRun {
  readonly kills: number;
  /** Of the moments; the processes themselves take as long as they take. */
  readonly seed: number;
  /** Told after each kill how many there were. */
  readonly onKill?: (count: number) => void;
}

export interface KillSummary {
  readonly seed: number;
  readonly kills: Readonly<Record<string, number>>;
  readonly acknowledged: number;
  readonly recorded: number;
  readonly heads: number;
  readonly receipts: number;
  readonly size: number;
}

/** Events in each request of each writer. */
const WRITERS = [1, 1, 1, 7, 40] as const;
const PAUSE_MS = 15;
/** Requests that are sent again after each start of the log. */
const AGAIN_MAX = 10;
/** Kills by which one of the three may be ahead of another. */
const AHEAD_MAX = 1;
const FLUSH_MS = 600_000;
/** For a complaint to be read. */
const COMPLAINT_MS = 500;
const RECORDER = fileURLToPath(new URL("recording-child.ts", import.meta.url));

/** Runs until so many processes were killed, checks, and cleans up. @throws {Error} what does not hold. */
export async function runKills(options: KillRun): Promise<KillSummary> {
  const site = await KillSite.create();
  try {
    return await site.run(options);
  } finally {
    await site.close();
  }
}

interface Acknowledged {
  readonly index: number;
  readonly leafHash: string;
}

interface Head {
  readonly size: number;
  readonly rootHash: string;
}

class KillSite {
  readonly #folder: string;
  readonly #made: InitializedServer;
  readonly #policy: Policy;
  readonly #bystanders: readonly ServedWitness[];
  readonly #witnessUrl: string;
  readonly #running = new Map<string, Running>();
  readonly #acknowledged = new Map<string, Acknowledged>();
  /** What was acknowledged since the log's last start. */
  #fresh: object[] = [];
  readonly #recorded: string[] = [];
  readonly #heads: Head[] = [];
  readonly #receipts: { readonly index: number; readonly proof: string }[] = [];
  /** The last words of the log. */
  #complaints = "";
  #url = "";
  #isOver = false;

  private constructor(input: {
    readonly folder: string;
    readonly made: InitializedServer;
    readonly policy: Policy;
    readonly bystanders: readonly ServedWitness[];
    readonly witnessUrl: string;
  }) {
    this.#folder = input.folder;
    this.#made = input.made;
    this.#policy = input.policy;
    this.#bystanders = input.bystanders;
    this.#witnessUrl = input.witnessUrl;
  }

  /** Two witnesses in this process, so that there is a quorum always; the third one is killed. */
  static async create(): Promise<KillSite> {
    const folder = await temporaryFolder();
    const dirs = ["w1", "w2", "w3"].map((name) => join(folder, name));
    const keys: (readonly string[])[] = [];
    for (const [at, dir] of dirs.entries())
      keys.push((await initWitness({ dir, name: `test.localhost/w${at + 1}` })).vkeys);
    const served = await Promise.all(dirs.map(async (dir) => serveWitness({ dir })));
    const made = await initServer({
      dir: join(folder, "log"),
      name: "app",
      origin: "test.localhost/app",
      port: 0,
      witnesses: served.map(({ url }, at) => ({ name: `w${at + 1}`, vkeys: [...(keys[at] ?? [])], url })),
      pinFirstSenderKey: true,
    });
    for (const dir of dirs) for (const vkey of made.vkeys) await addLog({ dir, vkey });
    const [victim, ...bystanders] = served;
    await victim?.close();
    for (const witness of bystanders) await witness.reload();
    const policy = parsePolicy(await readFile(made.policyPath));
    return new KillSite({ folder, made, policy, bystanders, witnessUrl: victim?.url ?? "" });
  }

  async run(options: KillRun): Promise<KillSummary> {
    // The log first: its address is that of all the rest. They end in order this once: what they compiled is kept then,
    // and each start takes a third less.
    for (const victim of [this.#log(), this.#witness()]) {
      const first = run(victim);
      this.#running.set(victim.name, first);
      await first.ready;
      assert.equal(await first.stop(), 0, this.#complaints);
    }
    const writers = [];
    for (const count of WRITERS) {
      const { token } = await createToken(layoutOf(join(this.#folder, "log")).tokens, { log: "app", role: "writer" });
      writers.push({ count, token });
    }
    const load = Promise.all(writers.map(async (writer) => this.#write(writer)));
    load.catch(() => (this.#isOver = true));
    const counts = await this.#killAll(options);
    this.#isOver = true;
    await load;
    await this.#running.get("client")?.kill();
    this.#running.delete("client");
    const size = await this.#check();
    return {
      seed: options.seed,
      kills: counts,
      acknowledged: this.#acknowledged.size,
      recorded: this.#recorded.length,
      heads: this.#heads.length,
      receipts: this.#receipts.length,
      size,
    };
  }

  /** Gives how many were killed of each. */
  async #killAll({ kills, seed, onKill }: KillRun): Promise<Readonly<Record<string, number>>> {
    const counts: Record<string, number> = { log: 0, witness: 0, client: 0 };
    const victims = [this.#log(), this.#witness(), this.#recorder()];
    const ends = await Promise.allSettled(
      victims.map(async (victim, at) => {
        const share = Math.floor((kills + victims.length - 1 - at) / victims.length);
        const next = (): boolean => {
          const count = counts[victim.name] ?? 0;
          if (this.#isOver || count === share) return false;
          counts[victim.name] = count + 1;
          onKill?.(Object.values(counts).reduce((sum, each) => sum + each, 0));
          return true;
        };
        const random = new Random(seed, victim.name);
        const turn = async (): Promise<void> => {
          const isAhead = (): boolean => (counts[victim.name] ?? 0) > Math.min(...Object.values(counts)) + AHEAD_MAX;
          while (!this.#isOver && isAhead()) await sleep(PAUSE_MS);
        };
        const onRun = (running: Running): void => void this.#running.set(victim.name, running);
        try {
          await killAgainAndAgain(victim, { next, random, turn, onRun });
        } catch (error) {
          // What does not hold ends the whole run.
          this.#isOver = true;
          throw error;
        }
      }),
    );
    for (const end of ends) if (end.status === "rejected") throw end.reason;
    return counts;
  }

  async close(): Promise<void> {
    this.#isOver = true;
    for (const running of this.#running.values()) await running.kill();
    for (const witness of this.#bystanders) await witness.close();
    await removeFolder(this.#folder);
  }

  #log(): Victim {
    return {
      name: "log",
      start: () => {
        const port = this.#url === "" ? 0 : Number(new URL(this.#url).port);
        const listen = ["--listen", `127.0.0.1:${port}`];
        return startCommand(this.#folder, ["serve", "--dir", join(this.#folder, "log"), "--json", ...listen]);
      },
      onComplaint: (text) => {
        this.#complaints = (this.#complaints + text).slice(-COMPLAINT_MAX);
      },
      onReady: async (line) => {
        this.#url = `${(JSON.parse(line) as { url: string }).url}/app`;
        // It may be killed while it is asked.
        await this.#untilItTakesEvents()
          .then(async () => this.#checkAfterStart())
          .catch((error: unknown) => {
            if (error instanceof assert.AssertionError) throw error;
          });
      },
    };
  }

  #witness(): Victim {
    const { host } = new URL(this.#witnessUrl);
    const args = ["witness", "serve", "--dir", join(this.#folder, "w1"), "--json", "--listen", host];
    return { name: "witness", start: () => startCommand(this.#folder, args), onReady: async () => undefined };
  }

  #recorder(): Victim {
    const { tokens, policyPath } = this.#made;
    return {
      name: "client",
      start: () => {
        const args = [this.#url, tokens.writer, policyPath, join(this.#folder, "outbox")];
        const flags = ["--conditions=ws-source", RECORDER];
        const env = { ...process.env, NODE_COMPILE_CACHE: join(this.#folder, "compiled") };
        return spawn(process.execPath, [...flags, ...args], { env, stdio: ["ignore", "pipe", "pipe"] });
      },
      onReady: async () => undefined,
      onLine: (id) => this.#recorded.push(id),
    };
  }

  /** Reports events, each as often as it takes to get an answer. */
  async #write({ count, token }: { readonly count: number; readonly token: string }): Promise<void> {
    while (!this.#isOver) {
      const events = Array.from({ length: count }, login);
      for (let answer = await this.#post(events, token); ; answer = await this.#post(events, token)) {
        if (answer === undefined) {
          await sleep(PAUSE_MS);
          continue;
        }
        for (const [at, event] of events.entries()) this.#acknowledge(event.id, answer[at]);
        this.#fresh.push({ events, token });
        break;
      }
      await sleep(PAUSE_MS);
    }
  }

  #acknowledge(id: string, answer: Acknowledged | undefined): void {
    assert.ok(answer, `no answer for ${id}`);
    const { index, leafHash } = this.#acknowledged.get(id) ?? answer;
    assert.deepEqual({ index: answer.index, leafHash: answer.leafHash }, { index, leafHash });
    this.#acknowledged.set(id, { index, leafHash });
  }

  /** `undefined` where nothing was answered, or nothing was taken. */
  async #post(events: readonly object[], token: string): Promise<readonly Acknowledged[] | undefined> {
    try {
      const response = await fetch(`${this.#url}/v1/events`, {
        method: "POST",
        headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
        body: JSON.stringify(events),
      });
      const body: unknown = await response.json();
      if (!response.ok && response.status !== 503) {
        // What it says of it comes another way.
        await sleep(COMPLAINT_MS);
        assert.fail(`${response.status}: ${JSON.stringify(body)}; the log said: ${this.#complaints}`);
      }
      return response.ok ? (body as Acknowledged[]) : undefined;
    } catch (error) {
      if (error instanceof assert.AssertionError) throw error;
      return undefined;
    }
  }

  /** After a start it asks the witnesses first. @throws {TypeError} it was killed. */
  async #untilItTakesEvents(): Promise<void> {
    const { origin } = new URL(this.#url);
    while (!(await fetch(`${origin}/readyz`)).ok) await sleep(PAUSE_MS);
  }

  /** What was acknowledged just before is there, at its index; heads only grow; a receipt is kept for the end. */
  async #checkAfterStart(): Promise<void> {
    const fresh = this.#fresh.splice(0).slice(-AGAIN_MAX) as { events: { id: string }[]; token: string }[];
    const response = await fetch(`${this.#url}/checkpoint`);
    if (response.ok) this.#sawHead(await response.text());
    for (const { events, token } of fresh) {
      const answers = await this.#post(events, token);
      for (const [at, { id }] of events.entries()) if (answers !== undefined) this.#acknowledge(id, answers[at]);
    }
    await this.#keepReceipt();
  }

  #sawHead(note: string): void {
    const { size, rootHash } = parseCheckpoint(parseNote(note).text);
    const head = { size: Number(size), rootHash: encodeBase64(rootHash) };
    const last = this.#heads.at(-1);
    assert.ok(last === undefined || head.size >= last.size, `a head of size ${head.size} after one of ${last?.size}`);
    if (head.size > (last?.size ?? 0)) this.#heads.push(head);
  }

  async #keepReceipt(): Promise<void> {
    const index = (this.#heads.at(-1)?.size ?? 0) - 1;
    if (index < 0) return;
    const headers = { authorization: `Bearer ${this.#made.tokens.writer}` };
    const response = await fetch(`${this.#url}/v1/receipts/${index}`, { headers });
    if (response.ok) this.#receipts.push({ index, proof: await response.text() });
  }

  /** An audit reads as far as a head was published, and acknowledged is what is durable before that. */
  async #untilPublished(): Promise<void> {
    const headers = { authorization: `Bearer ${this.#made.tokens.operator}` };
    const status = async (): Promise<{ size: number; publishedSize: number }> =>
      (await (await fetch(`${this.#url}/v1/status`, { headers })).json()) as { size: number; publishedSize: number };
    const { size } = await status();
    for (const end = performance.now() + FLUSH_MS; (await status()).publishedSize < size;) {
      assert.ok(performance.now() < end, `no head of ${size} entries was published`);
      await sleep(20);
    }
  }

  /** Everything that was said, against the log as it is now; gives its size. */
  async #check(): Promise<number> {
    const { tokens, policyPath } = this.#made;
    const outbox = join(this.#folder, "outbox");
    const tally = createTallystick({ url: this.#url, token: tokens.writer, policy: policyPath, outbox });
    await tally.flush({ timeoutMs: FLUSH_MS });
    const places = await Promise.all(this.#recorded.map(async (id) => (await tally.receipts.get(id)).index));
    assert.equal(new Set(places).size, this.#recorded.length, "two recorded events have one index");
    await tally.close();
    await this.#untilPublished();
    const reader = createHttpLogReader({ url: this.#url, token: tokens.auditor });
    const { verdict, findings, size } = await auditLog({ reader, policy: this.#policy });
    assert.deepEqual({ verdict, findings }, { verdict: "VERIFIED", findings: [] });
    const hashes: string[] = [];
    let unsigned = 0;
    for (let index = 0; index * 256 < size; index += 1) {
      const width = Math.min(256, size - index * 256);
      for (const leaf of decodeEntryBundle(await reader.entryBundle({ index, width }), width)) {
        hashes.push(encodeBase64(hashLeaf(leaf)));
        if (decodeLeaf(leaf).sequence === null) unsigned += 1;
      }
    }
    for (const [id, { index, leafHash }] of this.#acknowledged)
      assert.equal(hashes[index], leafHash, `${id} is not at its index ${index}`);
    // Every writer went on until it had its answer: whatever is more than those was logged twice.
    assert.equal(unsigned, this.#acknowledged.size, "unsigned entries");
    const prover = new TileProver(reader, size);
    for (const head of this.#heads) assert.equal(encodeBase64(await prover.rootHash(head.size)), head.rootHash);
    for (const { index, proof } of this.#receipts) {
      const verified = verifyReceipt({ proof, policy: this.#policy });
      assert.equal(verified.index, index);
      assert.equal(encodeBase64(decodeBase64(hashes[index] ?? "")), encodeBase64(verified.leafHash));
    }
    assert.equal(await this.#running.get("log")?.stop(), 0);
    this.#running.delete("log");
    const { code, out, err } = await runCommand(this.#folder, ["fsck", "--dir", join(this.#folder, "log")]);
    assert.equal(code, 0, out + err);
    return size;
  }
}

function login(): { readonly id: string } {
  const time = Date.now();
  const id = newEventId(time, new Uint8Array(randomBytes(16)));
  const event = { id, time, type: "auth.login", outcome: "failure", actor: { type: "user", id: `u_${time % 50}` } };
  return event;
}

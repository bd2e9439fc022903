/** The log and its server on a host, with whoever starts it again when it has stopped. */
import { encodeHex, parseVkey } from "@tallystick/core";
import { LeafAudit, computeCommitment, decodeLeaf, decodeOpening } from "@tallystick/events";
import { type Log, type WitnessTarget, fsckLog, openLog } from "@tallystick/log";
import { Tokens, UNSCOPED_ROLES, createServerApp, createToken } from "@tallystick/server";
import { type KeyStore, openKeyStore } from "@tallystick/storage";
import type { Host, Life } from "../engine/host.ts";
import { LogDisk } from "../engine/log-storage.ts";
import { Violation } from "../engine/world.ts";
import { LOG_HOST, ORIGIN, type Site, restart, sleep, unlessDiskFails } from "./site.ts";

const TOKENS_FILE = "/tokens.json";
/** Small, so that they are reached. */
const QUEUE_ENTRIES_MAX = 32;
const UNPUBLISHED_ENTRIES_MAX = 100;
/** What ends a log that is as it should be, on a machine that is not. */
const EXPECTED_STOPS = new Set(["clock-jumped", "log-stopped"]);
const LOOK_MS = 2000;

export class LogHost {
  readonly host: Host;
  readonly disk: LogDisk;
  readonly #site: Site;
  readonly #masterKey: Uint8Array;
  readonly #senderSeed: Uint8Array;
  #targets: readonly WitnessTarget[] = [];
  #log: Log | undefined;
  #keyStore: KeyStore | undefined;
  #hasTokens = false;

  constructor(site: Site) {
    this.#site = site;
    const random = site.world.random("log secrets");
    this.#masterKey = random.bytes(32);
    this.#senderSeed = random.bytes(32);
    this.host = site.addHost(LOG_HOST, async (life) => unlessDiskFails(this.host, async () => this.#run(life)));
    this.disk = new LogDisk(this.host, { onCommit: (commit) => site.oracle.landed(commit) });
    this.host.onEnd = () => {
      this.#log = undefined;
      this.#keyStore = undefined;
      this.disk.settle();
    };
  }

  get log(): Log | undefined {
    return this.#log;
  }

  setWitnesses(witnesses: readonly { readonly name: string; readonly vkey: string }[]): void {
    this.#targets = witnesses.map(({ name, vkey }) => ({
      name,
      verifiers: [parseVkey(vkey)],
      url: `http://${name}.example`,
    }));
  }

  async #run(life: Life): Promise<void> {
    if (!this.#hasTokens) await this.#makeTokens();
    const keyStore = await openKeyStore({ path: "/keys", masterKey: this.#masterKey });
    this.#keyStore = keyStore;
    const log = await openLog({
      origin: ORIGIN,
      storage: this.disk.open(),
      keyStore,
      keys: { signers: [this.#site.signer], senderSeed: this.#senderSeed },
      policyText: this.#site.policyText(),
      witnesses: this.#targets,
      pinFirstSenderKey: true,
      queueEntriesMax: QUEUE_ENTRIES_MAX,
      unpublishedEntriesMax: UNPUBLISHED_ENTRIES_MAX,
      publishIntervalMs: 1000,
      scrubEntriesPerSecond: 20,
    });
    this.#log = log;
    const app = createServerApp({
      logs: [{ name: "app", publicEntries: true, log, failure: undefined }],
      tokens: await Tokens.read(TOKENS_FILE),
    });
    this.host.serve = async (request) => app.fetch(request);
    await this.#watch(life, log);
  }

  async #makeTokens(): Promise<void> {
    const tokens = new Map<string, string>();
    for (const role of UNSCOPED_ROLES) tokens.set(role, (await createToken(TOKENS_FILE, { log: "app", role })).token);
    for (const at of [1, 2]) {
      tokens.set(`writer ${at}`, (await createToken(TOKENS_FILE, { log: "app", role: "writer" })).token);
    }
    this.#site.tokens = tokens;
    this.#hasTokens = true;
  }

  /** A log that stopped is started again, by whoever runs it; one whose clock jumped goes on by itself. */
  async #watch(life: Life, log: Log): Promise<void> {
    while (!life.isOver) {
      await sleep(LOOK_MS);
      const { state, reasons } = log.status();
      if (state === "stopped" && reasons[0]?.code !== "clock-jumped") {
        restart(this.host);
        return;
      }
    }
  }

  async stop(): Promise<void> {
    await this.#log?.close();
    await this.#keyStore?.close();
  }

  assertInvariants(): void {
    const { oracle } = this.#site;
    const log = this.#log;
    if (log === undefined) return;
    oracle.assertCovers(log.size(), oracle.acknowledgedSize, "the log");
    oracle.assertCovers(log.publishedSize(), oracle.publishedSize, "the log's published head");
    const { state, reasons, queuedEntries } = log.status();
    // One submission of the log's own may come on top.
    oracle.assertAtMost(queuedEntries, QUEUE_ENTRIES_MAX, "entries in the queue");
    oracle.assertAtMost(
      log.size() - log.publishedSize(),
      UNPUBLISHED_ENTRIES_MAX + 200,
      "entries that wait for a head",
    );
    const [reason] = reasons;
    if (state !== "stopped" || reason === undefined || EXPECTED_STOPS.has(reason.code)) return;
    throw new Violation(`the log stopped for good: ${reason.code}: ${reason.message}`);
  }

  /** Whether everything that it has taken is published, and nothing troubles it. */
  get isSettled(): boolean {
    const log = this.#log;
    return log !== undefined && log.status().state === "ok" && log.publishedSize() === log.size();
  }

  /** Every entry once more: the operator's own check, the rules among leaves, and what clients were promised. */
  async check(promised: readonly { readonly id: string; readonly opening: Uint8Array }[]): Promise<void> {
    const { world, signer } = this.#site;
    const keyStore = this.#keyStore;
    const log = this.#log;
    if (keyStore === undefined || log === undefined) throw new Error("the log is not open");
    const verifiers = [signer.verifier];
    const report = await fsckLog({ storage: this.disk.store, keyStore, origin: ORIGIN, verifiers });
    if (!report.ok) throw new Violation(`fsck: ${JSON.stringify(report.findings.slice(0, 3))}`);
    const counts = await this.#audit(log);
    for (const { id, opening } of promised) {
      const times = counts.get(encodeHex(computeCommitment(decodeOpening(opening)))) ?? 0;
      if (times !== 1) throw new Violation(`event ${id}, which its client had recorded, is ${times} times in the log`);
    }
    world.count("checked at the end");
  }

  /** How often each commitment is in the log. */
  async #audit(log: Log): Promise<Map<string, number>> {
    const audit = new LeafAudit(ORIGIN);
    const counts = new Map<string, number>();
    const { oracle } = this.#site;
    const size = log.publishedSize();
    for (let index = 0; index < size; index += 1) {
      const leaf = decodeLeaf(await log.readLeaf(index));
      const [finding] = audit.check(index, leaf);
      if (finding !== undefined) throw new Violation(`audit: ${JSON.stringify(finding)}`);
      const commitment = encodeHex(leaf.commitment);
      counts.set(commitment, (counts.get(commitment) ?? 0) + 1);
    }
    const [cut] = audit.finish(size);
    if (cut !== undefined) throw new Violation(`audit: ${JSON.stringify(cut)}`);
    const receipts = [...oracle.acknowledged.values()];
    for (const { id, index } of receipts.slice(-3)) {
      if (!(await log.receipt(index)).includes(`index ${index}`)) throw new Violation(`no receipt for ${id}`);
    }
    return counts;
  }
}

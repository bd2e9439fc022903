/** One seed from the first event to the last: set up, fail, heal, and look whether everything that was promised holds. */
import { formatPolicy, parsePolicy } from "@tallystick/core";
import { ClientHost } from "./cast/client-host.ts";
import { ForgerHost } from "./cast/forger-host.ts";
import { LogHost } from "./cast/log-host.ts";
import { ReaderHost } from "./cast/reader-host.ts";
import { Site } from "./cast/site.ts";
import { WitnessHost } from "./cast/witness-host.ts";
import { WriterHost } from "./cast/writer-host.ts";
import type { Life } from "./engine/host.ts";
import { Violation, World, enterWorld } from "./engine/world.ts";
import { Faults, type Victim } from "./faults.ts";

/** Faults that no program can survive, by which the invariants are put to the test. */
export const BUGS = ["hasty-storage", "forgetful-witness", "lying-outbox", "lying-key-store"] as const;
export type Bug = (typeof BUGS)[number];

export interface SeedOptions {
  readonly seed: number;
  readonly bug?: Bug | undefined;
  readonly onTrace?: ((line: string) => void) | undefined;
}

export interface SeedOutcome {
  readonly seed: number;
  /** Simulated. */
  readonly hours: number;
  readonly steps: number;
  /** Equal for equal courses. */
  readonly digest: string;
  readonly entries: number;
  readonly acknowledged: number;
  readonly cosigned: number;
  readonly refusedForks: number;
  readonly audits: number;
  readonly faults: ReadonlyMap<string, number>;
  readonly failure?: unknown;
}

const MINUTE_MS = 60_000;
const SET_UP_MS = MINUTE_MS;
/** How many seeds have one. */
const NIGHTS = 0.1;
const SETTLE_MS = 60 * MINUTE_MS;
/** No host has more of anything under way, whatever happens to it. */
const UNDER_WAY_MAX = 300;

export async function runSeed({ seed, bug, onTrace }: SeedOptions): Promise<SeedOutcome> {
  const world = new World(seed);
  world.onTrace = onTrace;
  enterWorld(world);
  const run = new Run(world, bug);
  let failure: unknown;
  try {
    await run.all();
  } catch (error) {
    failure = error;
  }
  return { ...run.outcome(), ...(failure === undefined ? {} : { failure }) };
}

class Run {
  readonly #world: World;
  readonly #site: Site;
  readonly #log: LogHost;
  readonly #witnesses: readonly WitnessHost[];
  readonly #clients: readonly ClientHost[];
  readonly #writer: WriterHost;
  readonly #reader: ReaderHost;
  readonly #forger: ForgerHost;
  readonly #faults: Faults;
  readonly #bug: Bug | undefined;

  constructor(world: World, bug: Bug | undefined) {
    this.#world = world;
    const site = new Site(world);
    this.#site = site;
    this.#witnesses = ["w1", "w2", "w3"].map((name) => new WitnessHost(site, name));
    this.#log = new LogHost(site);
    this.#clients = [1, 2].map((writer) => new ClientHost(site, writer));
    this.#writer = new WriterHost(site);
    this.#reader = new ReaderHost(site);
    this.#forger = new ForgerHost(site);
    // Without a loss of power a disk that lies is never found out.
    const always = bug === undefined ? undefined : "power loss";
    this.#faults = new Faults(world, site.network, this.#victims(), always);
    this.#bug = bug;
    world.onStep = (lives) => this.#look(lives);
  }

  #victims(): Victim[] {
    const none = async (): Promise<void> => undefined;
    return [
      // The log has most to lose.
      ...[this.#log, this.#log].map((log) => ({ host: log.host, stop: async () => log.stop() })),
      ...this.#witnesses.map((witness) => ({ host: witness.host, stop: async () => witness.stop() })),
      ...this.#clients.map((client) => ({ host: client.host, stop: async () => client.stop() })),
      { host: this.#writer.host, stop: none },
    ];
  }

  async all(): Promise<void> {
    await this.#setUp();
    this.#site.isLoaded = true;
    this.#faults.begin();
    this.#world.schedule(MINUTE_MS, () => this.#plant(), { what: "bug" });
    const random = this.#world.random("length");
    await this.#world.runUntil(this.#world.nowMs + random.between(1.5, 4) * MINUTE_MS);
    if (random.chance(NIGHTS)) await this.#sleepAndWake(random.between(70, 120) * MINUTE_MS);
    this.#site.isLoaded = false;
    this.#faults.heal();
    const isSettled = await this.#world.runUntil(this.#world.nowMs + SETTLE_MS, () => this.#isSettled());
    if (!isSettled) throw new Violation(`an hour after all faults were over: ${this.#describe()}`);
    await this.#check();
  }

  /** Nothing happens for longer than a log believes its clock without a witness's word; then its power goes. */
  async #sleepAndWake(forMs: number): Promise<void> {
    this.#site.isLoaded = false;
    this.#faults.isPaused = true;
    await this.#world.runUntil(this.#world.nowMs + forMs);
    this.#world.count("power loss after a silence");
    this.#log.host.losePower();
    this.#log.host.start(1000);
    this.#site.isLoaded = true;
    this.#faults.isPaused = false;
    await this.#world.runUntil(this.#world.nowMs + 2 * MINUTE_MS);
  }

  async #setUp(): Promise<void> {
    for (const { host } of this.#witnesses) host.start();
    await this.#reach(() => this.#witnesses.every(({ host }) => host.serve !== undefined));
    const witnesses = this.#witnesses.map(({ name, vkey }) => ({ name, vkey: vkey ?? "" }));
    const logs = [{ vkey: this.#site.signer.vkey }];
    const named = witnesses.map(({ name, vkey }) => ({ name, vkeys: [vkey] }));
    const text = formatPolicy({ logs, witnesses: named, quorum: 2 });
    const parsed = parsePolicy(text);
    this.#site.policy = { text, parsed };
    this.#site.oracle.policy = parsed;
    this.#log.setWitnesses(witnesses);
    this.#log.host.start();
    await this.#reach(() => this.#log.host.look(() => this.#log.isSettled) === true);
    for (const { host } of [...this.#clients, this.#writer, this.#reader, this.#forger]) host.start();
  }

  async #reach(holds: () => boolean): Promise<void> {
    const isReached = await this.#world.runUntil(this.#world.nowMs + SET_UP_MS, holds);
    if (!isReached) throw new Violation(`not set up: ${this.#describe()}`);
  }

  #plant(): void {
    const bug = this.#bug;
    if (bug === "hasty-storage") this.#log.disk.isHasty = true;
    if (bug === "lying-key-store") this.#log.host.disk.isLying = true;
    if (bug === "forgetful-witness") for (const { host } of this.#witnesses) host.disk.isLying = true;
    if (bug === "lying-outbox") for (const { host } of this.#clients) host.disk.isLying = true;
  }

  /** After each step, at the hosts whose code has run in it: nothing has changed in the others. */
  #look(lives: ReadonlySet<Life>): void {
    try {
      for (const each of [this.#log, ...this.#witnesses, ...this.#clients]) {
        const { host } = each;
        if (host.life !== undefined && lives.has(host.life)) host.look(() => each.assertInvariants());
      }
      for (const { host, timers, requests, isOver } of lives) {
        const underWay = isOver ? 0 : host.disk.operations + timers + requests;
        this.#site.oracle.assertAtMost(underWay, UNDER_WAY_MAX, `waits of ${host.name}`);
      }
    } catch (violation) {
      this.#world.fail(violation);
    }
  }

  #isSettled(): boolean {
    return [this.#log, this.#writer, ...this.#clients].every((each) => each.host.look(() => each.isSettled) === true);
  }

  #describe(): string {
    const hosts = this.#site.hosts.map(
      ({ name, serve, isUp }) => `${name} ${serve === undefined ? "deaf" : "serves"} ${isUp}`,
    );
    const log = this.#log.host.look(() => this.#log.log?.status());
    const clients = this.#clients.map((client) => client.host.look(() => client.describe()));
    return `${JSON.stringify(log)}; clients ${clients.join(", ")}; writer ${this.#writer.pending}; ${hosts.join(", ")}`;
  }

  async #check(): Promise<void> {
    const promised = this.#clients.flatMap(({ recorded }) => [...recorded].map(([id, opening]) => ({ id, opening })));
    await this.#on(this.#log, async () => this.#log.check(promised));
    for (const client of this.#clients) await this.#on(client, async () => client.check());
  }

  /** Runs something on a host, and lets the world go on until it is done. */
  async #on({ host }: Pick<LogHost, "host">, run: () => Promise<void>): Promise<void> {
    const { life } = host;
    if (life === undefined) throw new Error(`${host.name} is down`);
    let isDone = false;
    this.#world.as(life, () => {
      run().then(
        () => (isDone = true),
        (error: unknown) => this.#world.fail(error),
      );
    });
    const { nowMs } = this.#world;
    if (!(await this.#world.runUntil(nowMs + SETTLE_MS, () => isDone))) throw new Violation("the check did not end");
  }

  outcome(): Omit<SeedOutcome, "failure"> {
    const { seed, nowMs, steps, digest, faults } = this.#world;
    const { oracle } = this.#site;
    return {
      seed,
      hours: nowMs / (60 * MINUTE_MS),
      steps,
      digest,
      entries: oracle.leaves.length,
      acknowledged: oracle.acknowledged.size,
      cosigned: Math.max(0, ...oracle.cosigned.values()),
      refusedForks: oracle.refusedForks,
      audits: this.#reader.audits,
      faults,
    };
  }
}

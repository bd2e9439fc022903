/** What goes wrong, and when: chosen by the seed before it begins, then done to whoever is there. */
import type { Host } from "./engine/host.ts";
import type { Network } from "./engine/network.ts";
import type { Random } from "./engine/random.ts";
import type { World } from "./engine/world.ts";

export const FAULTS = [
  "kill",
  "power loss",
  "restart",
  "partition",
  "loss",
  "delay",
  "duplication",
  "cut answers",
  "disk errors",
  "slow disk",
  "stall",
  "clock jump",
] as const;
export type Fault = (typeof FAULTS)[number];

export interface Victim {
  readonly host: Host;
  readonly stop: () => Promise<void>;
}

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

export class Faults {
  readonly #world: World;
  readonly #network: Network;
  readonly #victims: readonly Victim[];
  readonly #random: Random;
  /** A seed has only some of the kinds: all of them at once hide each other. */
  readonly #kinds: readonly Fault[];
  /** Only one witness has a clock that jumps far: with two nobody could say what time it is. */
  readonly #farClock: string;
  isPaused = false;
  #isOver = false;

  /** @param always - A kind that this seed has in any case. */
  constructor(world: World, network: Network, victims: readonly Victim[], always?: Fault) {
    this.#world = world;
    this.#network = network;
    this.#victims = victims;
    this.#random = world.random("faults");
    this.#kinds = FAULTS.filter((kind) => this.#random.chance(0.4) || kind === always);
    this.#farClock = this.#random.pick(["w1.example", "w2.example", "w3.example"]);
  }

  /** Lets one fault follow the other, until `heal`. */
  begin(): void {
    if (this.#kinds.length === 0) return;
    this.#world.schedule(this.#random.wait(12_000), () => this.#next(), { what: "fault" });
  }

  #next(): void {
    if (this.#isOver) return;
    if (this.isPaused) return this.begin();
    const kind = this.#random.pick(this.#kinds);
    this.#world.count(kind);
    this.#do(kind);
    this.begin();
  }

  #do(kind: Fault): void {
    const random = this.#random;
    const victim = random.pick(this.#victims);
    const { conditions } = this.#network;
    const { host } = victim;
    const forMs = random.between(1000, 2 * MINUTE_MS);
    switch (kind) {
      case "kill":
        host.kill();
        return host.start(random.wait(2000));
      case "power loss":
        host.losePower();
        return host.start(random.wait(10_000));
      case "restart":
        return this.#restart(victim);
      case "partition":
        return this.#during(
          forMs,
          () => this.#network.split(this.#some()),
          () => this.#network.heal(),
        );
      case "loss":
        return this.#during(
          forMs,
          () => (conditions.loss = random.between(0.02, 0.5)),
          () => (conditions.loss = 0),
        );
      case "delay":
        return this.#during(
          forMs,
          () => (conditions.delayMs = random.between(20, 3000)),
          () => (conditions.delayMs = 2),
        );
      case "duplication":
        return this.#during(
          forMs,
          () => (conditions.duplication = 0.4),
          () => (conditions.duplication = 0),
        );
      case "cut answers":
        return this.#during(
          forMs,
          () => (conditions.cut = 0.3),
          () => (conditions.cut = 0),
        );
      case "disk errors":
        return this.#during(
          forMs,
          () => (host.disk.errorRate = random.between(0.005, 0.1)),
          () => (host.disk.errorRate = 0),
        );
      case "slow disk":
        return this.#during(
          forMs,
          () => (host.disk.slowness = random.between(10, 1000)),
          () => (host.disk.slowness = 1),
        );
      case "stall":
        host.stalledUntilMs = this.#world.nowMs + random.between(100, 30_000);
        return;
      case "clock jump":
        return this.#jump(host, forMs);
    }
  }

  #restart({ host, stop }: Victim): void {
    const { life } = host;
    if (life === undefined) return;
    const end = (): void => {
      if (host.life === life) host.kill();
      host.start(this.#random.wait(500));
    };
    this.#world.as(life, () => void stop().then(end, end));
  }

  /** Far enough to be noticed by whoever checks, or too little to be. What lies between is a clock that is believed. */
  #jump(host: Host, forMs: number): void {
    const random = this.#random;
    const isWitness = /^w\d/.test(host.name);
    const isFar = !isWitness || host.name === this.#farClock;
    const small = random.between(-2, 2) * MINUTE_MS;
    const far = random.chance(0.5) ? random.between(2, 30) * HOUR_MS : -random.between(0.1, 30) * HOUR_MS;
    const offsetMs = isFar && random.chance(0.5) ? far : small;
    this.#during(
      forMs,
      () => (host.clockOffsetMs = offsetMs),
      () => (host.clockOffsetMs = 0),
    );
  }

  /** Some of the hosts, not all. */
  #some(): string[] {
    const names = this.#victims.map(({ host }) => host.name);
    const some = names.filter(() => this.#random.chance(0.4));
    return some.length === names.length ? some.slice(1) : some;
  }

  #during(forMs: number, begin: () => unknown, end: () => unknown): void {
    begin();
    this.#world.schedule(forMs, () => void end(), { what: "fault ends" });
  }

  /** Everything is as it should be, from now on. */
  heal(): void {
    this.#isOver = true;
    this.#network.heal();
    Object.assign(this.#network.conditions, { delayMs: 2, loss: 0, duplication: 0, cut: 0 });
    for (const { host } of this.#victims) {
      host.disk.errorRate = 0;
      host.disk.slowness = 1;
      host.clockOffsetMs = 0;
      if (!host.isUp) host.start(1000);
    }
  }
}

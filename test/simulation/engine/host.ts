/** A machine with one program: it boots, is killed, loses its power, stalls, and has a clock of its own. */
import { Disk } from "./disk.ts";
import { START_MS, type World } from "./world.ts";

/** From a start of the program to its end, however it ends. */
export class Life {
  readonly host: Host;
  readonly number: number;
  /** Since the start of the simulation. */
  readonly beganMs: number;
  isOver = false;
  /** Timers that wait. */
  timers = 0;
  /** Requests that wait for an answer. */
  requests = 0;

  constructor(host: Host, number: number, beganMs: number) {
    this.host = host;
    this.number = number;
    this.beganMs = beganMs;
  }

  get name(): string {
    return this.host.name;
  }
}

/** Answers a request that reached the host. */
export type Serve = (request: Request) => Promise<Response>;

export class Host {
  readonly name: string;
  readonly world: World;
  readonly disk: Disk;
  /** How far the wall clock is off. */
  clockOffsetMs = 0;
  stalledUntilMs = 0;
  /** Told when a life ends, before its files are settled. */
  onEnd: (kind: "kill" | "power-loss") => void = () => undefined;
  /** What takes requests, while the program runs and listens. */
  serve: Serve | undefined;
  life: Life | undefined;
  /** Of requests that it has not answered: called when the machine says that nobody is there any more. */
  readonly connections: Set<() => void> = new Set();
  /** Which start of the machine this is. */
  boots = 1;
  #lives = 0;
  readonly #program: (life: Life) => Promise<void>;

  /** @param program - What runs from each start on; it sets `serve` when it listens. What it throws ends the run. */
  constructor(world: World, name: string, program: (life: Life) => Promise<void>) {
    this.world = world;
    this.name = name;
    this.disk = new Disk(world, name);
    this.#program = program;
  }

  get isUp(): boolean {
    return this.life !== undefined;
  }

  /** What the wall clock says. */
  wallMs(): number {
    return Math.floor(START_MS + this.world.nowMs + this.clockOffsetMs);
  }

  /** A clock that cannot be set: since this life began. */
  monotonicMs(): number {
    return this.world.nowMs - (this.life?.beganMs ?? 0);
  }

  /** Looks at what runs on the host, by its clocks; `undefined` while nothing does. */
  look<T>(at: () => T): T | undefined {
    return this.life === undefined ? undefined : this.world.as(this.life, at);
  }

  start(delayMs = 0): void {
    this.world.schedule(delayMs, () => this.#begin(), { what: `start ${this.name}` });
  }

  #begin(): void {
    if (this.life !== undefined) return;
    this.#lives += 1;
    const life = new Life(this, this.#lives, this.world.nowMs);
    this.life = life;
    this.world.as(life, () => {
      this.#program(life).catch((failure: unknown) => {
        if (!life.isOver) this.world.fail(failure);
      });
    });
  }

  /** The program dies, the machine goes on: what was written is there, synced or not. */
  kill(): void {
    this.#end("kill");
  }

  /** What was not synced may be gone, in part or in whole. */
  losePower(): void {
    this.#end("power-loss");
    this.boots += 1;
  }

  #end(kind: "kill" | "power-loss"): void {
    const { life } = this;
    if (life !== undefined) life.isOver = true;
    this.life = undefined;
    this.serve = undefined;
    this.onEnd(kind);
    // After a loss of power nobody says anything.
    if (kind === "kill") for (const reset of this.connections) reset();
    this.connections.clear();
    if (kind === "kill") this.disk.kill();
    else this.disk.losePower();
  }
}

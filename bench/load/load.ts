/**
 * Load on a server: closed (each connection sends as soon as it is answered) or open (requests go out at their times,
 * whether or not earlier ones are answered). Latencies of an open load run from the time at which a request was meant to
 * go out, so that a server which stalls cannot hide it by not being asked.
 */
import { cpuSecondsOf } from "./cpu-time.ts";
import { Latencies, type LatencySummary } from "./latencies.ts";
import { type Answer, LoadConnection } from "./load-connection.ts";
import { Pacing } from "./pacing.ts";
import { type RequestPlan, type RequestSource, requestSources } from "./requests.ts";

export interface LoadPlan {
  readonly requests: RequestPlan;
  readonly connections: number;
  /** Requests in a second for an open load; without it the load is closed. */
  readonly ratePerSecond?: number;
  readonly seconds: number;
  /** Before the clock starts. */
  readonly warmupSeconds: number;
  /** So many requests at most, if given: the load ends when they are answered. */
  readonly requestsMax?: number;
  /** Other answers end the run. */
  readonly expectedStatuses: readonly number[];
  /** Whose CPU time is measured. */
  readonly serverPid?: number;
}

export interface LoadReport {
  readonly seconds: number;
  /** Answered while the clock ran. */
  readonly requests: number;
  readonly events: number;
  readonly eventsPerSecond: number;
  /** All that the server took, before and after the clock too. */
  readonly acknowledged: number;
  readonly latencyMs: LatencySummary;
  /** By how much the generator noticed too late that a request was due; part of the latencies. */
  readonly lateMs?: LatencySummary;
  readonly statuses: Readonly<Record<string, number>>;
  readonly serverCpuMicrosPerEvent?: number;
  readonly generatorCpuMicrosPerRequest: number;
}

const REASON_CHARS = 600;

export class Load {
  readonly #plan: LoadPlan;
  /** Of an open load. */
  readonly #pacing: Pacing | undefined;
  readonly #sources = new Map<LoadConnection, RequestSource>();
  readonly #latencies = new Latencies();
  readonly #late = new Latencies();
  readonly #statuses = new Map<number, number>();
  readonly #idle: LoadConnection[] = [];
  /** Requests of an open load that no connection was free for, by the time at which they were meant to go out. */
  readonly #waiting: number[] = [];
  readonly #done = Promise.withResolvers<void>();
  readonly #cpu: CpuMeter;
  #taken: CpuTaken | undefined;
  #underWay = 0;
  #sent = 0;
  #requests = 0;
  #acknowledged = 0;
  #beganAt = Infinity;
  #endsAt = Infinity;
  #isOver = false;

  private constructor(plan: LoadPlan, pacing: Pacing | undefined) {
    this.#plan = plan;
    this.#pacing = pacing;
    this.#cpu = new CpuMeter(plan.serverPid);
  }

  /** Opens the connections and makes what they will send. */
  static async prepare(plan: LoadPlan): Promise<Load> {
    const { ratePerSecond } = plan;
    const pacing = ratePerSecond === undefined ? undefined : await Pacing.prepare(ratePerSecond);
    const load = new Load(plan, pacing);
    const { host, port } = plan.requests.target;
    const handlers = {
      onAnswer: (answer: Answer, connection: LoadConnection) => load.#take(answer, connection),
      onFailure: (error: Error) => load.#fail(error),
    };
    // First what takes long: a server cuts connections on which nobody says anything.
    const sources = requestSources(plan.requests, plan.connections);
    for (const source of sources) load.#sources.set(await LoadConnection.open({ host, port }, handlers), source);
    return load;
  }

  /** @throws {Error} An answer was another one than expected, or a connection ended. */
  async run(): Promise<LoadReport> {
    const { seconds, warmupSeconds } = this.#plan;
    const startedAt = performance.now();
    this.#beganAt = startedAt + warmupSeconds * 1000;
    this.#endsAt = this.#beganAt + seconds * 1000;
    const timers = [
      setTimeout(() => this.#cpu.begin(), warmupSeconds * 1000),
      setTimeout(() => this.#end(), this.#endsAt - startedAt),
    ];
    if (this.#pacing === undefined) {
      for (const connection of this.#sources.keys()) this.#sendNext(connection, startedAt);
    } else {
      this.#idle.push(...this.#sources.keys());
      this.#pacing.begin(startedAt, () => this.#dispatchDue(performance.now()));
    }
    try {
      await this.#done.promise;
    } finally {
      timers.forEach(clearTimeout);
      await this.#pacing?.end();
      for (const connection of this.#sources.keys()) connection.close();
    }
    return this.#report();
  }

  #report(): LoadReport {
    const { eventsPerRequest } = [...this.#sources.values()][0] ?? { eventsPerRequest: 1 };
    const seconds = (this.#endsAt - this.#beganAt) / 1000;
    const events = this.#requests * eventsPerRequest;
    const { server, own } = this.#taken ?? this.#cpu.taken();
    return {
      seconds: rounded(seconds),
      requests: this.#requests,
      events,
      eventsPerSecond: Math.round(events / seconds),
      acknowledged: this.#acknowledged * eventsPerRequest,
      latencyMs: this.#latencies.summary(),
      ...(this.#plan.ratePerSecond === undefined ? {} : { lateMs: this.#late.summary() }),
      statuses: Object.fromEntries(this.#statuses),
      ...(server === undefined ? {} : { serverCpuMicrosPerEvent: rounded((server * 1e6) / events) }),
      generatorCpuMicrosPerRequest: rounded((own * 1e6) / this.#requests),
    };
  }

  #dispatchDue(now: number): void {
    for (const intendedAt of this.#pacing?.take(Math.min(now, this.#endsAt)) ?? []) {
      if (intendedAt >= this.#beganAt) this.#late.add(now - intendedAt);
      const connection = this.#idle.shift();
      if (connection === undefined) this.#waiting.push(intendedAt);
      else this.#sendNext(connection, intendedAt);
    }
  }

  #sendNext(connection: LoadConnection, intendedAt: number): void {
    const request = this.#areAllSent() ? undefined : this.#sources.get(connection)?.next();
    if (request === undefined) {
      // Where one connection has nothing left, the load is not the planned one any more; where all is sent, it is done
      // with the last answer.
      if (!this.#areAllSent() || this.#underWay === 0) this.#end();
      return;
    }
    this.#sent += 1;
    this.#underWay += 1;
    connection.send(request, intendedAt);
  }

  #areAllSent(): boolean {
    return this.#sent >= (this.#plan.requestsMax ?? Infinity);
  }

  #take({ status, lastPart }: Answer, connection: LoadConnection): void {
    const now = performance.now();
    this.#underWay -= 1;
    if (!this.#plan.expectedStatuses.includes(status)) {
      this.#fail(new Error(`the server answered ${status}: ${lastPart.toString("utf8", 0, REASON_CHARS)}`));
      return;
    }
    this.#acknowledged += 1;
    const isOpen = this.#plan.ratePerSecond !== undefined;
    // An open load is that of the requests meant for its time, however late they are answered.
    const counts = isOpen
      ? connection.intendedAt >= this.#beganAt && connection.intendedAt < this.#endsAt
      : now >= this.#beganAt && now < this.#endsAt;
    if (counts) {
      this.#requests += 1;
      this.#latencies.add(now - connection.intendedAt);
      this.#statuses.set(status, (this.#statuses.get(status) ?? 0) + 1);
    }
    const waited = isOpen ? this.#waiting.shift() : now;
    if (waited === undefined) this.#idle.push(connection);
    else if (!this.#isOver || isOpen) this.#sendNext(connection, waited);
    if (this.#isOver && this.#underWay === 0) this.#done.resolve();
  }

  /** The clock stops; what is under way is still answered. */
  #end(): void {
    const now = performance.now();
    // What was due until now is part of an open load, however late it is sent.
    if (!this.#isOver) this.#dispatchDue(now);
    if (!this.#isOver) this.#endsAt = Math.min(this.#endsAt, now);
    this.#taken ??= this.#cpu.taken();
    this.#isOver = true;
    if (this.#underWay === 0) this.#done.resolve();
  }

  #fail(error: Error): void {
    this.#isOver = true;
    this.#done.reject(error);
  }
}

/** In seconds. */
interface CpuTaken {
  readonly server: number | undefined;
  readonly own: number;
}

/** CPU time of the server and of this process, from the begin of the clock to the moment of asking. */
class CpuMeter {
  readonly #pid: number | undefined;
  #serverBegan: number | undefined;
  #ownBegan: NodeJS.CpuUsage | undefined;

  constructor(pid: number | undefined) {
    this.#pid = pid;
    this.begin();
  }

  begin(): void {
    this.#serverBegan = this.#pid === undefined ? undefined : cpuSecondsOf(this.#pid);
    this.#ownBegan = process.cpuUsage();
  }

  taken(): CpuTaken {
    const { user, system } = process.cpuUsage(this.#ownBegan);
    const now = this.#pid === undefined ? undefined : cpuSecondsOf(this.#pid);
    const server = now === undefined || this.#serverBegan === undefined ? undefined : now - this.#serverBegan;
    return { server, own: (user + system) / 1e6 };
  }
}

function rounded(value: number): number {
  return Math.round(value * 1000) / 1000;
}

/** An application without the SDK: posts JSON, and posts it again under the same ids until the log has answered. */
import { newEventId } from "@tallystick/events";
import type { Host, Life } from "../engine/host.ts";
import type { Random } from "../engine/random.ts";
import { Violation } from "../engine/world.ts";
import { LOG_URL, type Site, sleep } from "./site.ts";

/** Answers that a log may give to a good request: later, or not now. */
const PATIENCE = new Set([429, 500, 503]);

export class WriterHost {
  readonly host: Host;
  /** Requests that have no answer yet. */
  pending = 0;
  readonly #site: Site;
  readonly #random: Random;

  constructor(site: Site) {
    this.#site = site;
    this.#random = site.world.random("load writer");
    this.host = site.addHost("writer.example", async (life) => this.#run(life));
    this.host.onEnd = () => (this.pending = 0);
  }

  async #run(life: Life): Promise<void> {
    while (!life.isOver) {
      await sleep(this.#random.wait(50_000));
      if (!this.#site.isLoaded) continue;
      // Now and then more than the log's queue takes.
      const requests = this.#random.chance(0.1) ? 12 : 1;
      for (let left = requests; left > 0; left -= 1) void this.#deliver(life, this.#body());
    }
  }

  #body(): string {
    const random = this.#random;
    const events = Array.from({ length: 1 + random.below(4) }, () => ({
      id: newEventId(Date.now(), random.bytes(16)),
      time: new Date().toISOString(),
      type: "data.export",
      outcome: "success",
      actor: { type: "user", id: `u${random.below(5)}` },
    }));
    return JSON.stringify(events);
  }

  async #deliver(life: Life, body: string): Promise<void> {
    this.pending += 1;
    while (!life.isOver) {
      const status = await this.#post(body);
      if (status !== undefined) this.#site.world.count(`writer heard ${status}`);
      if (status !== undefined && status < 300) break;
      if (status !== undefined && !PATIENCE.has(status))
        this.#site.world.fail(new Violation(`the log answered ${status} to events that are as they should be`));
      await sleep(this.#random.wait(2000));
    }
    this.pending -= 1;
  }

  async #post(body: string): Promise<number | undefined> {
    const headers = { authorization: `Bearer ${this.#site.token("writer")}`, "content-type": "application/json" };
    try {
      const signal = AbortSignal.timeout(10_000);
      const wait = this.#random.pick(["durable", "published", "witnessed"]);
      const response = await fetch(`${LOG_URL}/v1/events?wait=${wait}&timeout=8000`, {
        method: "POST",
        headers,
        body,
        signal,
      });
      await response.arrayBuffer();
      return response.status;
    } catch {
      return undefined;
    }
  }

  get isSettled(): boolean {
    return this.pending === 0;
  }
}

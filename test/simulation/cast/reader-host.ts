/** An outsider who audits the log again and again, and holds each head against those that it saw before. */
import { auditLog, createHttpLogReader } from "@tallystick/client";
import { parsePolicy } from "@tallystick/core";
import type { Host, Life } from "../engine/host.ts";
import type { Random } from "../engine/random.ts";
import { Violation } from "../engine/world.ts";
import { LOG_URL, type Site, sleep } from "./site.ts";

/** What a network, or a log that is down, can bring about. */
const EXPECTED = new Set(["audit-unavailable", "log-answer-malformed"]);
const HEADS_MAX = 4;

export class ReaderHost {
  readonly host: Host;
  audits = 0;
  readonly #site: Site;
  readonly #random: Random;
  /** Heads that it has seen; it keeps them whatever happens to it. */
  #heads: string[] = [];

  constructor(site: Site) {
    this.#site = site;
    this.#random = site.world.random("reader");
    this.host = site.addHost("reader.example", async (life) => this.#run(life));
  }

  async #run(life: Life): Promise<void> {
    while (!life.isOver) {
      await sleep(this.#random.wait(60_000));
      await this.#audit();
    }
  }

  async #audit(): Promise<void> {
    const reader = createHttpLogReader({ url: LOG_URL });
    const policy = parsePolicy(this.#site.policyText());
    try {
      const heads = this.#heads;
      const note = await reader.checkpoint();
      const { findings } = await auditLog({ reader, policy, heads });
      // Clocks that jump show in the log for ever; whose fault that is an audit cannot say.
      const [finding] = findings.filter(({ code }) => code !== "time-postdated");
      if (finding !== undefined) throw new Violation(`an audit found: ${JSON.stringify(finding)}`);
      this.audits += 1;
      this.#heads = [...this.#heads.slice(1 - HEADS_MAX), note];
    } catch (error) {
      const code = error instanceof Error && "code" in error ? String(error.code) : "";
      if (!EXPECTED.has(code)) throw error;
    }
  }
}

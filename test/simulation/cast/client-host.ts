/** An application with the SDK and its outbox on a host. */
import { type Tallystick, createTallystick, verifyReceipt } from "@tallystick/client";
import { parsePolicy } from "@tallystick/core";
import type { Host, Life } from "../engine/host.ts";
import type { Random } from "../engine/random.ts";
import { Violation } from "../engine/world.ts";
import { LOG_URL, type Site, restart, sleep, unlessDiskFails } from "./site.ts";

/** The least that the SDK takes, so that it is reached. */
const OUTBOX_BYTES_MAX = 65_536;
/** What only a log that is not as it should be, or an outbox that lost something, can bring about. */
const ALARMS = new Set(["log-forked", "log-misbehaved", "log-refused", "outbox-corrupt", "outbox-outdated"]);
const UNTIL = ["queued", "queued", "durable", "published", "witnessed"] as const;

export class ClientHost {
  readonly host: Host;
  /** Events of which record() said that they are recorded, by id. */
  readonly recorded: Map<string, Uint8Array> = new Map();
  readonly #site: Site;
  readonly #random: Random;
  readonly #name: string;
  /** The writer whose token it has. */
  readonly #writer: number;
  #client: Tallystick | undefined;
  /** Whether its outbox is: before that its status knows nothing of what waits. */
  #isOpen = false;
  /** Calls of record() that have not returned. */
  #recording = 0;

  constructor(site: Site, writer: number) {
    this.#site = site;
    this.#writer = writer;
    this.#name = `c${writer}`;
    this.#random = site.world.random(`load ${this.#name}`);
    this.host = site.addHost(`${this.#name}.example`, async (life) =>
      unlessDiskFails(this.host, async () => this.#run(life)),
    );
    this.host.onEnd = () => {
      this.#client = undefined;
      this.#isOpen = false;
      this.#recording = 0;
    };
  }

  async #run(life: Life): Promise<void> {
    const client = createTallystick({
      url: LOG_URL,
      token: this.#site.token(`writer ${this.#writer}`),
      policy: this.#site.policyText(),
      outbox: "/outbox",
      outboxBytesMax: OUTBOX_BYTES_MAX,
      onError: (error) => this.#hear(error),
    });
    this.#client = client;
    client.flush({ until: "queued" }).then(
      () => (this.#isOpen = true),
      // The client has said it to onError too.
      () => undefined,
    );
    while (!life.isOver) {
      await sleep(this.#random.wait(40_000));
      // The disk failed while it opened: whoever runs it starts it again.
      if (client.status().state === "halted") return restart(this.host);
      if (!this.#site.isLoaded) continue;
      const burst = this.#random.chance(0.1) ? 6 : 1;
      for (let left = burst; left > 0; left -= 1) void this.#record(life, client);
    }
  }

  async #record(life: Life, client: Tallystick): Promise<void> {
    const random = this.#random;
    const report = {
      type: "auth.login",
      outcome: "success",
      actor: { type: "user", id: `u${random.below(5)}` },
      ...(random.chance(0.5) ? { session: { id: `s${random.below(5)}` } } : {}),
      ...(random.chance(0.5) ? { tenant: `t${random.below(2)}` } : {}),
    } as const;
    this.#recording += 1;
    try {
      const { id, opening } = await client.record(report, { until: random.pick(UNTIL) });
      this.recorded.set(id, opening);
    } catch (error) {
      if (life.isOver) return;
      this.#hear(error);
      // The disk failed: the journal takes nothing more until it is opened again.
      if (codeOf(error) === "audit-unavailable" && this.host.life === life) restart(this.host);
    }
    if (!life.isOver) this.#recording -= 1;
  }

  #hear(error: unknown): void {
    const code = codeOf(error);
    this.#site.world.count(`client heard ${code}`);
    if (this.host.disk.errors > 0 && code !== "log-forked") return;
    if (code === "unknown" || ALARMS.has(code)) this.#site.world.fail(error);
  }

  async stop(): Promise<void> {
    await this.#client?.close();
  }

  assertInvariants(): void {
    const bytes = this.#client?.status().bytes ?? 0;
    this.#site.oracle.assertAtMost(bytes, OUTBOX_BYTES_MAX, `bytes in the outbox of ${this.#name}`);
  }

  /** Whether all that it has recorded is proved to it. */
  get isSettled(): boolean {
    const status = this.#client?.status();
    return (
      status !== undefined &&
      this.#isOpen &&
      this.#recording === 0 &&
      status.queued === 0 &&
      status.unproved === 0 &&
      status.state !== "halted"
    );
  }

  describe(): string {
    return JSON.stringify(this.#client?.status());
  }

  /** Every event has its receipt, which verifies. */
  async check(): Promise<void> {
    const client = this.#client;
    if (client === undefined) throw new Error("the client is not open");
    const policy = parsePolicy(this.#site.policyText());
    for (const [id, opening] of this.recorded) {
      const { proof, index } = await client.receipts.get(id);
      const verified = verifyReceipt({ proof, policy, opening });
      if (verified.index !== index || verified.event?.id !== id)
        throw new Violation(`the receipt of ${id} proves something else`);
    }
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "unknown";
}

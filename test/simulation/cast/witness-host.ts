/** A witness on a host: set up once, and opened by each life. */
import { addLog, createWitnessApp, initWitness, openWitness, type Witness } from "@tallystick/witness";
import type { Host } from "../engine/host.ts";
import { LOG_URL, ORIGIN, type Site, unlessDiskFails } from "./site.ts";

const FOLDER = "/witness";

export class WitnessHost {
  readonly host: Host;
  readonly name: string;
  /** The Ed25519 key, once it is set up. */
  vkey: string | undefined;
  #witness: Witness | undefined;
  readonly #site: Site;

  constructor(site: Site, name: string) {
    this.#site = site;
    this.name = name;
    this.host = site.addHost(`${name}.example`, async () => unlessDiskFails(this.host, async () => this.#run()));
    this.host.onEnd = () => (this.#witness = undefined);
  }

  async #run(): Promise<void> {
    if (this.vkey === undefined) await this.#setUp();
    const witness = await openWitness({ dir: FOLDER });
    this.#witness = witness;
    const app = createWitnessApp(witness);
    this.host.serve = async (request) => app.fetch(request);
  }

  async #setUp(): Promise<void> {
    const { vkeys } = await initWitness({ dir: FOLDER, name: `${this.host.name}/w` });
    await addLog({ dir: FOLDER, vkey: this.#site.signer.vkey, origin: ORIGIN, url: LOG_URL });
    [this.vkey] = vkeys;
  }

  async stop(): Promise<void> {
    await this.#witness?.close();
  }

  /** What it holds is never behind what it has cosigned. */
  assertInvariants(): void {
    const { oracle } = this.#site;
    const status = this.#witness?.status();
    if (status === undefined) return;
    const size = Number(status.logs[0]?.size ?? 0n);
    oracle.assertCovers(size, oracle.cosigned.get(this.host.name) ?? 0, `witness ${this.name}`);
    const wrong = status.reasons.find(({ code }) => code === "state-rolled-back" || code === "state-corrupt");
    if (wrong !== undefined) throw new Error(`${this.name}: ${wrong.code}: ${wrong.message}`);
  }
}

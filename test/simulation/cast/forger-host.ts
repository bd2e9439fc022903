/** Somebody who has stolen the log's key, and asks witnesses to cosign another history. */
import {
  type Hash,
  encodeBase64,
  formatCheckpoint,
  hashLeaf,
  proveConsistency,
  signNote,
  treeHash,
  utf8,
} from "@tallystick/core";
import type { Host, Life } from "../engine/host.ts";
import type { Random } from "../engine/random.ts";
import { ORIGIN, type Site, sleep } from "./site.ts";

export class ForgerHost {
  readonly host: Host;
  readonly #site: Site;
  readonly #random: Random;

  constructor(site: Site) {
    this.#site = site;
    this.#random = site.world.random("forger");
    this.host = site.addHost("forger.example", async (life) => this.#run(life));
  }

  async #run(life: Life): Promise<void> {
    while (!life.isOver) {
      await sleep(this.#random.wait(30_000));
      if (!this.#site.isLoaded) continue;
      const { cosigned } = this.#site.oracle;
      // A fork that begins above what a witness has cosigned would be news to it, and nobody's fault but the thief's.
      const victims = [...cosigned].filter(([, size]) => size >= 2);
      if (victims.length > 0) await this.#attack(...this.#random.pick(victims));
    }
  }

  async #attack(witness: string, cosigned: number): Promise<void> {
    const random = this.#random;
    const common = random.below(cosigned);
    const size = cosigned + random.below(4);
    const fork = [
      ...this.#site.oracle.leaves.slice(0, common),
      ...Array.from({ length: size - common }, (_, at) => hashLeaf(utf8(`forged ${random.uint32()} ${at}`))),
    ];
    const from = random.pick([0, common, cosigned, size]);
    const signal = AbortSignal.timeout(10_000);
    const body = this.#request({ fork, from: Math.min(from, size) });
    try {
      const response = await fetch(`http://${witness}/add-checkpoint`, { method: "POST", body, signal });
      await response.arrayBuffer();
    } catch {
      // It is down, or cannot be reached: another time.
    }
  }

  #request({ fork, from }: { readonly fork: readonly Hash[]; readonly from: number }): string {
    const size = fork.length;
    const text = formatCheckpoint({ origin: ORIGIN, size, rootHash: treeHash([...fork]) });
    const getNode = ({ level, index }: { readonly level: number; readonly index: number | bigint }): Hash =>
      treeHash(fork.slice(Number(index) * 2 ** level, (Number(index) + 1) * 2 ** level));
    const proof = proveConsistency({ from, to: size, getNode });
    const lines = proof.map((hash) => `${encodeBase64(hash)}\n`).join("");
    return `old ${from}\n${lines}\n${signNote({ text, signers: [this.#site.signer] })}`;
  }
}

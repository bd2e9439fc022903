/** Who takes part: a log, three witnesses, two clients with an outbox, one without, a reader, and somebody with the log's key. */
import { type Policy, type Signer, createSigner } from "@tallystick/core";
import { Host, type Life } from "../engine/host.ts";
import { Network } from "../engine/network.ts";
import type { World } from "../engine/world.ts";
import { Oracle } from "../oracle.ts";

export const ORIGIN = "log.example/app";
export const LOG_HOST = "log.example";
export const LOG_URL: string = `http://${LOG_HOST}/app`;

/** What all of them know. */
export class Site {
  readonly world: World;
  readonly network: Network;
  readonly oracle: Oracle;
  readonly signer: Signer;
  readonly hosts: Host[] = [];
  /** Set once the witnesses have their keys. */
  policy: { readonly text: string; readonly parsed: Policy } | undefined;
  /** By role. */
  tokens: ReadonlyMap<string, string> = new Map();
  /** While it holds, clients report events. */
  isLoaded = false;

  constructor(world: World) {
    this.world = world;
    this.network = new Network(world);
    this.oracle = new Oracle(world);
    this.signer = createSigner({ name: ORIGIN, type: "ed25519", seed: world.random("log key").bytes(32) });
    this.network.onAnswer = (exchanged) => this.oracle.answered(exchanged);
  }

  addHost(name: string, program: (life: Life) => Promise<void>): Host {
    const host = new Host(this.world, name, program);
    this.hosts.push(host);
    this.network.add(host);
    return host;
  }

  policyText(): string {
    if (this.policy === undefined) throw new Error("the witnesses have no keys yet");
    return this.policy.text;
  }

  token(role: string): string {
    const token = this.tokens.get(role);
    if (token === undefined) throw new Error(`there is no token for ${role}`);
    return token;
  }
}

/** Waits on the host's own clock. */
export async function sleep(delayMs: number): Promise<void> {
  await new Promise<void>((resolve) => {
    setTimeout(resolve, delayMs);
  });
}

/** A disk that fails is a reason for a program to end; anything else is not, and ends the simulation. */
export async function unlessDiskFails(host: Host, run: () => Promise<void>): Promise<void> {
  try {
    await run();
  } catch (error) {
    if (host.disk.errors === 0) throw error;
    restart(host);
  }
}

/** Ends the program of a host, from within, and starts it again. */
export function restart(host: Host): void {
  const { life, world } = host;
  world.schedule(0, () => host.life === life && host.kill(), { what: `end ${host.name}` });
  host.start(world.random(`restart ${world.steps}`).between(500, 3000));
}

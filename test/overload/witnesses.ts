/** Witnesses in this process: good ones, and ones that do everything that a log must not wait for. */
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { type AddressInfo, type Server, type Socket, createServer } from "node:net";
import { join } from "node:path";
import type { InitServerOptions, InitializedServer } from "@tallystick/server";
import { type ServedWitness, addLog, initWitness, serveWitness } from "@tallystick/witness";
import { removeFolder, temporaryFolder } from "../support/processes.ts";

/** What a bad witness does with a connection. */
type Behaviour = (socket: Socket) => void;

const HEAD = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n";

const BEHAVIOURS: Readonly<Record<string, Behaviour>> = {
  silent: () => undefined,
  /** Begins an answer, and goes on with it a byte a second. */
  dripping: (socket) => {
    socket.write(`${HEAD}Content-Length: 1000\r\n\r\n`);
    repeat(socket, 1000, () => void socket.write("x"));
  },
  /** As much as the other side takes. */
  endless: (socket) => {
    socket.write(`${HEAD}Transfer-Encoding: chunked\r\n\r\n`);
    const chunk = `10000\r\n${"x".repeat(65_536)}\r\n`;
    const pour = (): void => {
      while (!socket.destroyed && socket.write(chunk));
    };
    socket.on("drain", pour);
    pour();
  },
  /** Something, but no HTTP. */
  garbling: (socket) => void socket.end(randomBytes(1000)),
  /** HTTP, with a body that is no cosignature. */
  raving: (socket) => void socket.end(`${HEAD}Content-Length: 1000\r\n\r\n${randomBytes(500).toString("hex")}`),
  /** Ends each connection. */
  refusing: (socket) => void socket.destroy(),
};

export const BAD_KINDS: readonly string[] = Object.keys(BEHAVIOURS);

type Configured = NonNullable<InitServerOptions["witnesses"]>[number];

interface Good {
  readonly dir: string;
  readonly served: ServedWitness;
  readonly configured: Configured;
}

interface Bad {
  readonly server: Server;
  readonly sockets: ReadonlySet<Socket>;
  readonly configured: Configured;
}

export class Witnesses {
  readonly #folder: string;
  readonly #good: readonly Good[];
  readonly #bad: readonly Bad[];

  private constructor(folder: string, good: readonly Good[], bad: readonly Bad[]) {
    this.#folder = folder;
    this.#good = good;
    this.#bad = bad;
  }

  static async start({ good, bad = [] }: { good: number; bad?: readonly string[] }): Promise<Witnesses> {
    const folder = await temporaryFolder();
    const goodOnes = await Promise.all(
      Array.from({ length: good }, async (_, at) => {
        const { dir, configured } = await configure(folder, `w${at + 1}`);
        const served = await serveWitness({ dir });
        return { dir, served, configured: { ...configured, url: served.url } };
      }),
    );
    const badOnes = await Promise.all(
      bad.map(async (kind) => {
        const { configured } = await configure(folder, `bad-${kind}`);
        const sockets = new Set<Socket>();
        const server = createServer((socket) => {
          sockets.add(socket);
          socket.once("close", () => sockets.delete(socket));
          socket.on("error", () => undefined);
          // It waits for the request, as HTTP has it.
          socket.once("data", () => BEHAVIOURS[kind]?.(socket));
        });
        server.listen(0, "127.0.0.1");
        await once(server, "listening");
        const { port } = server.address() as AddressInfo;
        return { server, sockets, configured: { ...configured, url: `http://127.0.0.1:${port}` } };
      }),
    );
    return new Witnesses(folder, goodOnes, badOnes);
  }

  get configured(): readonly Configured[] {
    return [...this.#good, ...this.#bad].map(({ configured }) => configured);
  }

  /** Has the good ones cosign for a log. */
  async know({ vkeys }: InitializedServer): Promise<void> {
    for (const { dir, served } of this.#good) {
      for (const vkey of vkeys) await addLog({ dir, vkey });
      await served.reload();
    }
  }

  async close(): Promise<void> {
    for (const { served } of this.#good) await served.close();
    for (const { server, sockets } of this.#bad) {
      server.close();
      for (const socket of sockets) socket.destroy();
    }
    await removeFolder(this.#folder);
  }
}

async function configure(folder: string, name: string): Promise<{ dir: string; configured: Omit<Configured, "url"> }> {
  const dir = join(folder, name);
  const { vkeys } = await initWitness({ dir, name: `test.localhost/${name}` });
  return { dir, configured: { name, vkeys } };
}

function repeat(socket: Socket, intervalMs: number, act: () => void): void {
  const timer = setInterval(act, intervalMs);
  socket.once("close", () => clearInterval(timer));
}

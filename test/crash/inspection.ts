/** What becomes of a server's folder that was damaged: does the start refuse it, do the reads, does fsck? */
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { TILE_WIDTH, TallystickError } from "@tallystick/core";
import { type Log, fsckLog } from "@tallystick/log";
import { layoutOf, logLayoutOf, masterKeyOf, readLogKeys, readServer, serveLogs } from "@tallystick/server";
import { openKeyStore, openLevelStorage } from "@tallystick/storage";

export interface Order {
  readonly dir: string;
  /** Entries that there were before the damage. */
  readonly size: number;
  /** The log's name in the server. */
  readonly name: string;
  readonly steps: readonly Step[];
}

export type Step = "start" | "fsck";

/** By whom the damage was noticed; `end` is that of the process, by LevelDB's own assertions. */
export type Noticer = "start" | "read" | "fsck" | "end";

export interface Inspection {
  /** Who noticed, and with which code: the first who did. */
  readonly noticed?: { readonly by: Noticer; readonly code: string; readonly message: string };
  /** What the folder says, as a digest by part; complete only where nobody noticed anything. */
  readonly picture: Readonly<Record<string, string>>;
}

export async function inspect(order: Order): Promise<Inspection> {
  const picture: Record<string, string> = {};
  if (order.steps.includes("start")) {
    const noticed = await startAndRead(order, picture);
    if (noticed !== undefined) return { noticed, picture };
  }
  if (!order.steps.includes("fsck")) return { picture };
  const noticed = await check(order);
  return { picture, ...(noticed === undefined ? {} : { noticed }) };
}

async function startAndRead(
  { dir, name, size, steps }: Order,
  picture: Record<string, string>,
): Promise<Inspection["noticed"]> {
  let served: Awaited<ReturnType<typeof serveLogs>>;
  try {
    served = await serveLogs({ dir, port: 0 });
  } catch (error) {
    return noticed("start", error);
  }
  try {
    const hosted = served.logs.find((each) => each.name === name);
    if (hosted?.log === undefined)
      return { by: "start", code: hosted?.failure?.code ?? "log-missing", message: hosted?.failure?.message ?? "" };
    const [reason] = await started(hosted.log);
    if (reason !== undefined) return { by: "start", ...reason };
    await drawConfiguration({ dir, name }, picture);
    // Entries come from the database: what else is damaged is seen at the newest ones.
    const from = steps.includes("fsck") ? 0 : TILE_WIDTH * Math.floor((size - 1) / TILE_WIDTH);
    return await readAll(hosted.log, { from, size }, picture);
  } finally {
    await served.close();
  }
}

async function started(log: Log): Promise<readonly { code: string; message: string }[]> {
  while (log.status().state === "starting") await new Promise((resolve) => setTimeout(resolve, 1));
  const { state, reasons } = log.status();
  return state === "stopped" ? reasons : [];
}

async function drawConfiguration(
  { dir, name }: { readonly dir: string; readonly name: string },
  picture: Record<string, string>,
): Promise<void> {
  const layout = logLayoutOf(dir, name);
  const { signers, senderSeed } = await readLogKeys(layout);
  picture["keys"] = signers.map(({ vkey }) => vkey).join(" ");
  picture["sender key"] = createHash("sha256").update(senderSeed).digest("hex");
  const { tokens } = JSON.parse(await readFile(layoutOf(dir).tokens, "utf8")) as { readonly tokens: unknown };
  picture["tokens"] = JSON.stringify(tokens);
  picture["policy"] = (await readFile(layout.policy, "utf8")).replaceAll(/^#.*\n/gm, "");
  picture["configuration"] = JSON.stringify((await readServer(dir)).config);
}

async function readAll(
  log: Log,
  { from, size }: { readonly from: number; readonly size: number },
  picture: Record<string, string>,
): Promise<Inspection["noticed"]> {
  const digest = createHash("sha256");
  try {
    for (let first = from; first < size; first += TILE_WIDTH) {
      for (const bytes of await readBundle(log, { first, size })) digest.update(bytes);
    }
    // The newest head there was: those before it are thinned out ten minutes later, and those after it are of this start.
    for (const head of await log.checkpoints({ limit: 1, before: size + 1 })) digest.update(head.note);
    for (let index = from; index < size; index += 97) await log.receipt(index);
  } catch (error) {
    return noticed("read", error);
  }
  picture["entries"] = digest.digest("hex");
  return undefined;
}

/** As readers do: full bundles whole, what is behind them entry by entry. */
async function readBundle(
  log: Log,
  { first, size }: { readonly first: number; readonly size: number },
): Promise<readonly Uint8Array[]> {
  const width = Math.min(TILE_WIDTH, size - first);
  if (width === TILE_WIDTH) {
    const bundle = await log.readBundle({ index: first / TILE_WIDTH, width });
    if (bundle === undefined) throw new Error(`the bundle from ${first} on is not published`);
    return [bundle];
  }
  return Promise.all(Array.from({ length: width }, async (_, at) => log.readLeaf(first + at)));
}

async function check({ dir, name }: Order): Promise<Inspection["noticed"]> {
  try {
    const { config } = await readServer(dir);
    const layout = logLayoutOf(dir, name);
    const { signers } = await readLogKeys(layout);
    const origin = config.logs.find((log) => log.name === name)?.origin ?? "";
    const storage = await openLevelStorage({ path: layout.data });
    try {
      const keyStore = await openKeyStore({ path: layout.keyStore, masterKey: await masterKeyOf(dir) });
      try {
        const verifiers = signers.map(({ verifier }) => verifier);
        const [finding] = (await fsckLog({ storage, keyStore, origin, verifiers })).findings;
        return finding && { by: "fsck", code: finding.code, message: finding.message };
      } finally {
        await keyStore.close();
      }
    } finally {
      await storage.close();
    }
  } catch (error) {
    return noticed("fsck", error);
  }
}

function noticed(by: Noticer, error: unknown): NonNullable<Inspection["noticed"]> {
  const message = error instanceof Error ? error.message : String(error);
  if (error instanceof TallystickError) return { by, code: error.code, message };
  if (error instanceof Error && "code" in error) return { by, code: String(error.code), message };
  return { by, code: error instanceof Error ? error.name : "unknown", message };
}

/** A log on a disk that runs full: it stops, loses nothing that it acknowledged, and goes on once there is room. */
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { newEventId } from "@tallystick/events";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { removeFolder } from "../support/processes.ts";
import { CAN_MOUNT, SmallDisk, commandLine } from "../support/small-disk.ts";
import { type SmallLog, createSmallLog } from "../support/small-log.ts";

const BATCH = 200;
/** Far more than fits. */
const BATCHES_MAX = 400;

describe.skipIf(!CAN_MOUNT)("a log whose disk is full (mounts of one's own are needed)", () => {
  let log: SmallLog;
  let disk: SmallDisk;

  beforeAll(async () => {
    log = await createSmallLog(0);
    await log.stop();
    disk = await SmallDisk.create(join(log.folder, "disk"), { mebibytes: 4 });
    await disk.run(`cp -a '${log.logDir}' '${disk.path}/log' && echo copied`, /^copied$/m);
  }, 60_000);

  afterAll(async () => {
    await disk?.end();
    await removeFolder(log.folder);
  });

  async function serve(): Promise<string> {
    const line = `${commandLine("serve", "--dir", join(disk.path, "log"), "--json", "--listen", "127.0.0.1:0")} &`;
    const [, url = ""] = await disk.run(line, /"url":\s*"([^"]+)"/);
    return `${url}/app`;
  }

  const stop = async (): Promise<unknown> => disk.run(`kill -TERM $!; wait $!; echo ended $?`, /^ended \d+$/m);

  interface Answered {
    readonly status: number;
    readonly entries: readonly { readonly index: number; readonly duplicate?: boolean }[];
    readonly code?: string;
  }

  async function post(url: string, events: readonly object[]): Promise<Answered> {
    const response = await fetch(`${url}/v1/events`, {
      method: "POST",
      headers: { authorization: `Bearer ${log.made.tokens.writer}`, "content-type": "application/json" },
      body: JSON.stringify(events),
    });
    const body = (await response.json()) as Answered["entries"] & { readonly code?: string };
    if (body.code === "log-starting") {
      await new Promise((resolve) => setTimeout(resolve, 20));
      return post(url, events);
    }
    return { status: response.status, entries: body, ...(body.code === undefined ? {} : { code: body.code }) };
  }

  const batch = (): object[] =>
    Array.from({ length: BATCH }, (_, at) => {
      const time = Date.now();
      const id = newEventId(time, new Uint8Array(randomBytes(16)));
      return { id, time, type: "auth.login", outcome: "success", actor: { type: "user", id: `u_${at}` } };
    });

  test("C-258 stops with 503, has all that it acknowledged after it was given room, and no half batch", async () => {
    const url = await serve();
    const acknowledged: { readonly events: readonly object[]; readonly indexes: readonly number[] }[] = [];
    let refused: { readonly events: readonly object[]; readonly answer: Answered } | undefined;
    for (let tries = 0; tries < BATCHES_MAX && refused === undefined; tries += 1) {
      const events = batch();
      const answer = await post(url, events);
      if (answer.status === 201) acknowledged.push({ events, indexes: answer.entries.map(({ index }) => index) });
      else refused = { events, answer };
    }
    expect(refused?.answer.status).toBe(503);
    expect(acknowledged.length).toBeGreaterThan(0);
    const after = await post(url, batch());
    expect([after.status, after.code]).toEqual([503, "log-stopped"]);
    const ready = await fetch(new URL("/readyz", url));
    expect([ready.status, await ready.text()]).toEqual([503, expect.stringContaining("the disk is full")]);
    await stop();

    await disk.run(`mount -o remount,size=64m '${disk.path}' && echo remounted`, /^remounted$/m);
    const again = await serve();
    for (const { events, indexes } of acknowledged) {
      const { status, entries } = await post(again, events);
      expect([status, entries.map(({ index }) => index)]).toEqual([200, indexes]);
    }
    // What was refused is there whole or not at all.
    const { status, entries } = await post(again, refused?.events ?? []);
    expect(new Set(entries.map(({ duplicate }) => duplicate === true)).size).toBe(1);
    expect([200, 201]).toContain(status);
    expect((await post(again, batch())).status).toBe(201);
    await stop();
    const checked = await disk.run(
      `${commandLine("fsck", "--dir", join(disk.path, "log"))}; echo status $?`,
      /status (\d+)/,
    );
    expect(checked[1]).toBe("0");
  }, 120_000);
});

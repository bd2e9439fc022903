/** Kill -9 at any moment: what `record` promised is delivered, each event once, under its number. */
import { spawn } from "node:child_process";
import { type IncomingMessage, type ServerResponse, createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { decodeBatch, decodeEvent, decodeLeaf } from "@tallystick/events";
import { expect, onTestFinished, test } from "vitest";
import { LogDouble } from "./support/log-double.ts";
import { createFolder, startClient } from "./support/setup.ts";

const CHILD = fileURLToPath(new URL("support/recording-child.ts", import.meta.url));

/** Serves the double over HTTP, losing some of its answers. */
async function serve(log: LogDouble): Promise<string> {
  const answerOne = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part as Buffer);
    const body = parts.length === 0 ? {} : { body: new Uint8Array(Buffer.concat(parts)) };
    const headers = Object.fromEntries(Object.entries(request.headers).map(([name, value]) => [name, String(value)]));
    const method = request.method ?? "GET";
    const answer = await log.fetch(`https://log.example/double${request.url ?? ""}`, { method, headers, ...body });
    if (method === "POST" && log.posts.length % 4 === 0) response.destroy();
    else response.writeHead(answer.status).end(new Uint8Array(await answer.arrayBuffer()));
  };
  const server = createServer((request, response) => void answerOne(request, response));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** Runs the child until it promised so many events, and for so long more; kills it, and gives the ids that were promised. */
async function killAfter(
  { events, ms }: { readonly events: number; readonly ms: number },
  args: readonly string[],
): Promise<string[]> {
  const child = spawn(process.execPath, ["--conditions=ws-source", CHILD, ...args], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  let complaints = "";
  let timer: NodeJS.Timeout | undefined;
  const look = (): void => {
    if (output.split("\n").length > events) timer ??= setTimeout(() => child.kill("SIGKILL"), ms);
  };
  look();
  child.stdout.on("data", (part) => {
    output += String(part);
    look();
  });
  child.stderr.on("data", (part) => (complaints += String(part)));
  const ended = new Promise<string | null>((resolve) => child.once("close", (_, signal) => resolve(signal)));
  const signal = await ended;
  clearTimeout(timer);
  expect(signal, `it said: ${complaints}`).toBe("SIGKILL");
  return output.split("\n").slice(0, -1);
}

test(
  "ten kills at random moments, with answers lost: every promised event once, no gap, one stream",
  { timeout: 60_000 },
  async () => {
    const log = new LogDouble();
    const url = await serve(log);
    const folder = await createFolder();
    const policy = join(folder, "policy.txt");
    await writeFile(policy, log.policyText);
    const outbox = join(folder, "outbox");
    const promised: string[] = [];
    for (let life = 0; life < 10; life += 1) {
      // Some die while they open, most while they record and send.
      const moment = life < 3 ? { events: 0, ms: 150 + Math.random() * 300 } : { events: 20, ms: Math.random() * 300 };
      promised.push(...(await killAfter(moment, [url, policy, outbox])));
    }
    const { client, errors } = startClient(log, { outbox });
    await client.flush();
    expect(errors).toEqual([]);
    const sent = new Map<number, string>();
    for (const { first, entries } of log.posts.map(decodeBatch)) {
      for (const [at, { event }] of entries.entries()) {
        const { id } = decodeEvent(event);
        // A retry is byte-identical: no number ever bears another event.
        expect(sent.get(first + at) ?? id).toBe(id);
        sent.set(first + at, id);
      }
    }
    const leaves = log.leaves.map(decodeLeaf);
    expect(leaves.map(({ sequence }) => sequence)).toEqual(leaves.map((_, at) => at + 1));
    const ids = [...sent.values()];
    expect(new Set(ids).size).toBe(ids.length);
    expect(promised.length).toBeGreaterThan(100);
    expect(promised.filter((id) => !new Set(ids).has(id))).toEqual([]);
  },
);

/** What a whole log does over HTTP, with the generator in a process of its own on the same machine. */
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { initServer, layoutOf, serveLogs } from "@tallystick/server";

const LOAD = new URL("load.ts", import.meta.url).pathname;

const folder = await mkdtemp(join(tmpdir(), "tallystick-bench-"));
const { tokens } = await initServer({ dir: folder, name: "app", origin: "bench.localhost/app", port: 0 });
// One token sends everything here: what is measured is not the limit on what one token may send.
const { config } = layoutOf(folder);
const rateLimit = { requestsPerSecond: 1_000_000, burst: 1_000_000 };
await writeFile(config, JSON.stringify({ ...JSON.parse(await readFile(config, "utf8")), rateLimit }));
const served = await serveLogs({ dir: folder });
try {
  for (const [connections, perRequest] of [
    [1, 1],
    [64, 1],
    [8, 500],
  ]) {
    const args = [
      "--conditions=ws-source",
      LOAD,
      `${served.url}/app`,
      tokens.writer,
      String(connections),
      String(perRequest),
      "5",
    ];
    const { stdout } = await promisify(execFile)(process.execPath, args);
    const { eventsPerSecond, p50, p99 } = JSON.parse(stdout) as { eventsPerSecond: number; p50: number; p99: number };
    process.stdout.write(
      `${`${connections} connections, ${perRequest} events a request`.padEnd(42)} ${String(eventsPerSecond).padStart(10)} events/s, p50 ${p50} ms, p99 ${p99} ms\n`,
    );
  }
} finally {
  await served.close();
  await rm(folder, { recursive: true, force: true });
}

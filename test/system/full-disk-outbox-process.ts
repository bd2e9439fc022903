/** Records an event after the other and says what became of each; asked to end, it says of how many it has receipts. */
import { writeSync } from "node:fs";
import { createTallystick } from "@tallystick/client";

const [url = "", token = "", policy = "", outbox = ""] = process.argv.slice(2);
const PAUSE_MS = 20;

const client = createTallystick({ url, token, policy, outbox, onError: () => undefined });
const promised: string[] = [];
const ending = new AbortController();
process.once("SIGTERM", () => ending.abort());

while (!ending.signal.aborted) {
  try {
    // Larger than what is left of a page.
    const targets = Array.from({ length: 40 }, (_, at) => ({ type: "file", id: `${"f".repeat(90)} ${at}` }));
    const actor = { type: "user", id: "u_1" };
    promised.push((await client.record({ type: "access.read", outcome: "success", actor, targets })).id);
    writeSync(1, `recorded ${promised.length}\n`);
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "";
    writeSync(1, `refused ${code} ${String(error)}\n`);
  }
  await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
}
await client.flush();
const receipts = await Promise.allSettled(promised.map(async (id) => client.receipts.get(id)));
writeSync(1, `proved ${receipts.filter(({ status }) => status === "fulfilled").length} of ${promised.length}\n`);
await client.close();

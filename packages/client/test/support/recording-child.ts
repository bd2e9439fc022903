/** A process of its own that records and tells what was promised to it, until somebody kills it. */
import { writeSync } from "node:fs";
import { createTallystick } from "../../src/index.ts";

const [url = "", policy = "", outbox = ""] = process.argv.slice(2);
const client = createTallystick({
  url,
  policy,
  outbox,
  token: "tsk_writer_double",
  requestTimeoutMs: 2000,
  onError: () => undefined,
});

async function recordFor(worker: number): Promise<void> {
  for (let at = 0; ; at += 1) {
    const { id } = await client.record({ type: "app.thing", reason: `worker ${worker}, event ${at}` });
    writeSync(1, `${id}\n`);
    if (at % 20 === 19) await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

await Promise.all([0, 1, 2].map(recordFor));

/** An application with the SDK and an outbox: records events, and says of each that it was promised. */
import { writeSync } from "node:fs";
import { flushCompileCache } from "node:module";
import { createTallystick } from "@tallystick/client";

const [url = "", token = "", policy = "", outbox = ""] = process.argv.slice(2);
const PAUSE_MS = 150;

const tally = createTallystick({ url, token, policy, outbox, onError: () => undefined });
writeSync(1, "ready\n");
// It does not live long enough to do so at its end.
flushCompileCache();
for (;;) {
  const events = Array.from({ length: 3 }, async (_, at) =>
    tally.record({ type: "auth.logout", outcome: "success", actor: { type: "user", id: `u_${at}` } }),
  );
  for (const { id } of await Promise.all(events)) writeSync(1, `${id}\n`);
  await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
}

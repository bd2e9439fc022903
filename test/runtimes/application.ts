/** An application of the SDK, the same on Node, Bun and Deno: records, is denied nothing, and says what came of it. */
import { createTallystick } from "@tallystick/client";

const [url = "", token = "", policy = "", outbox = "", senderKey = ""] = process.argv.slice(2);
const errors: string[] = [];
const tally = createTallystick({
  url,
  token,
  policy,
  outbox,
  senderKey,
  onError: (error) => errors.push(String(error)),
});
const actor = { type: "user", id: "u_81" };

await tally.auth.login({ outcome: "success", actor, session: { id: "raw session" } });
const targets = [{ type: "report", id: "r_1" }];
const { index } = await tally.access.export({ outcome: "success", actor, targets });
const sum = await tally.audit({ type: "access.write", actor, targets }, () => 40 + 2);
const { id, state } = await tally.auth.logout({ actor }, { until: "witnessed" });
const { proof } = await tally.receipts.get(id);
const forgotten = await tally.receipts.forget("u_81");
await tally.close();
process.stdout.write(
  JSON.stringify({
    state,
    index: typeof index,
    sum,
    proof: proof.split("\n", 1)[0],
    forgotten: forgotten.receipts,
    errors,
  }),
);

/** An application of the SDK on the edge: `fetch` and no disk. The test bundles it and runs it where there is nothing else. */
import { createTallystick } from "@tallystick/client";

export async function handle(options: {
  url: string;
  token: string;
  policy: string;
  senderKey: Uint8Array;
}): Promise<string> {
  await using tally = createTallystick({ ...options, beatIntervalMs: 0 });
  const actor = { type: "user", id: "u_81" };
  const { state, index } = await tally.auth.login({ outcome: "success", actor, session: { id: "raw session" } });
  const witnessed = await tally.auth.logout({ actor }, { until: "witnessed" });
  const status = tally.status();
  return JSON.stringify({ state, index: typeof index, witnessed: witnessed.state, status: status.state });
}

/** What asks for a disk is refused at once, in words. */
export async function wrong(options: { url: string; token: string; policy: string }): Promise<string[]> {
  const said: string[] = [];
  for (const more of [{ outbox: "folder" }, { policy: "policy-file" }, { senderKey: "key-file" }]) {
    const tally = createTallystick({ ...options, ...more, onError: () => undefined });
    await tally.record({ type: "app.thing" }).catch((error: unknown) => said.push(String(error)));
    await tally.close();
  }
  return said;
}

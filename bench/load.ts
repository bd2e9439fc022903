/** A load generator in a process of its own: posts events to a log and prints what it measured, as one JSON line. */
import { randomBytes } from "node:crypto";
import { newEventId } from "@tallystick/events";
import { Connection } from "./connection.ts";

const [url = "", token = "", connections = "64", eventsPerRequest = "1", seconds = "5"] = process.argv.slice(2);
const perRequest = Number(eventsPerRequest);
const latencies: number[] = [];
let events = 0;

function body(): string {
  const made = Array.from({ length: perRequest }, () => {
    const now = Date.now();
    return {
      id: newEventId(now, new Uint8Array(randomBytes(16))),
      time: now,
      type: "auth.login",
      outcome: "success",
      actor: { type: "user", id: `u_${Math.floor(Math.random() * 1000)}` },
      source: { ip: "203.0.113.7" },
    };
  });
  return JSON.stringify(perRequest === 1 ? made[0] : made);
}

async function worker(until: number): Promise<void> {
  const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
  const connection = await Connection.open({ url: `${url}/v1/events`, headers });
  while (performance.now() < until) {
    const began = performance.now();
    const status = await connection.post(body());
    if (status !== 201) throw new Error(`the log answered ${status}`);
    latencies.push(performance.now() - began);
    events += perRequest;
  }
  connection.close();
}

const began = performance.now();
await Promise.all(Array.from({ length: Number(connections) }, async () => worker(began + Number(seconds) * 1000)));
const elapsed = (performance.now() - began) / 1000;
latencies.sort((a, b) => a - b);
const at = (share: number): number => Math.round((latencies[Math.floor(latencies.length * share)] ?? 0) * 10) / 10;
process.stdout.write(
  `${JSON.stringify({ eventsPerSecond: Math.round(events / elapsed), p50: at(0.5), p99: at(0.99) })}\n`,
);

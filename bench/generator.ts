/**
 * A load generator in a process of its own: reads its plan (JSON) as its argument, says `ready`, begins at the first
 * byte on its stdin, and prints its report as one line of JSON.
 */
import { once } from "node:events";
import { Load, type LoadPlan } from "./load/load.ts";

const load = await Load.prepare(JSON.parse(process.argv[2] ?? "") as LoadPlan);
process.stdout.write("ready\n");
await once(process.stdin, "data");
process.stdin.destroy();
process.stdout.write(`${JSON.stringify(await load.run())}\n`);

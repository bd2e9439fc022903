/** A witness in a process of its own, to be killed. Its only output is its URL. */
import { serveWitness } from "../src/index.ts";

const [dir = ""] = process.argv.slice(2);
const { url } = await serveWitness({ dir });
process.stdout.write(`${url}\n`);

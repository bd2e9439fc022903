/** Reads one damaged store after the other, and writes a line on each: LevelDB may abort the process instead. */
import { writeSync } from "node:fs";
import { readStore } from "./read-store.ts";

const [commits, ...folders] = process.argv.slice(2);
for (const folder of folders) writeSync(1, `${JSON.stringify(await readStore(folder, Number(commits)))}\n`);

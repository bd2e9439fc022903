/** Builds every package and packs it into the folder that is given, as for publishing: `node .config/pack.ts FOLDER`. */
import { mkdirSync } from "node:fs";
import { resolve } from "node:path";
import { run } from "./run.ts";

const [folder] = process.argv.slice(2);
if (folder === undefined) {
  process.stderr.write("expected the folder to write the packages to\n");
  process.exit(1);
}
// npm runs scripts in the workspace's folder, whatever folder it was called from.
const target = resolve(process.env["INIT_CWD"] ?? process.cwd(), folder);
mkdirSync(target, { recursive: true });
// `npm test` has just built them.
if (process.env["TALLYSTICK_BUILT"] === undefined) await step("node", [".config/build.ts"]);
await step("pnpm", ["--recursive", "--filter", "./packages/*", "pack", "--pack-destination", target]);
process.stdout.write(`${target}: install what is there with npm install ${target}/*.tgz\n`);

async function step(command: string, args: readonly string[]): Promise<void> {
  const { ok, output } = await run(command, args);
  if (ok) return;
  process.stderr.write(output);
  process.exit(1);
}

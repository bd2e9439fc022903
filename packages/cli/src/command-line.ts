/** How the reader of our words calls the command. */
import { isAbsolute, relative } from "node:path";

type Environment = Readonly<Record<string, string | undefined>>;

const WORKSPACE = "tallystick-workspace";

/** `tallystick`, or what stands for it in a clone, in a project, or in another folder: as typed in `folder`. */
export function commandLine(env: Environment = process.env, folder: string = process.cwd()): string {
  if (env["npm_package_name"] === WORKSPACE) {
    const root = env["npm_config_local_prefix"];
    const prefix = root === undefined || isWithin(root, folder) ? "" : ` --prefix ${quoteWord(root)}`;
    return `npm${prefix} run -s tallystick --`;
  }
  return env["npm_lifecycle_event"] === "npx" ? "npx tallystick" : "tallystick";
}

/** What starts a log and its witnesses. */
export function startLine(env: Environment = process.env): string {
  return env["npm_package_name"] === WORKSPACE ? "npm start" : `${commandLine(env)} dev`;
}

/** A word as a shell takes it. */
export function quoteWord(text: string): string {
  return /^[\w./:@%+=,-]+$/.test(text) ? text : `'${text.replaceAll("'", String.raw`'\''`)}'`;
}

/** npm looks for its scripts in the folders above, too. */
function isWithin(root: string, folder: string): boolean {
  const path = relative(root, folder);
  return path !== ".." && !path.startsWith("../") && !isAbsolute(path);
}

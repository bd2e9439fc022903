/** How the reader of our words calls the command. */

/** `tallystick`, or the script that stands for it in a clone. */
export function commandLine(env: Readonly<Record<string, string | undefined>> = process.env): string {
  return env["npm_package_name"] === "tallystick-workspace" ? "npm run -s tallystick --" : "tallystick";
}

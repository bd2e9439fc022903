/** What a bundler makes of a module for browsers: one small file, without anything of Node. */
import { build } from "vite";

/** @param entry - The path of a module. */
export async function bundleForBrowser(entry: string): Promise<string> {
  const built = await build({
    configFile: false,
    logLevel: "silent",
    resolve: { conditions: ["ws-source"] },
    build: { write: false, minify: true, lib: { entry, formats: ["es"], fileName: "bundle" } },
  });
  const [one, ...others] = [built].flat().flatMap((each) => ("output" in each ? each.output : []));
  if (one?.type !== "chunk" || others.length > 0) throw new Error("expected one chunk");
  return one.code;
}

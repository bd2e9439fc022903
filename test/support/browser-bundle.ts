/** What a bundler makes of a module for browsers: one small file, without anything of Node. */
import { build } from "vite";

/** @param entry - The path of a module. */
export async function bundleForBrowser(entry: string): Promise<string> {
  const built = await build({
    configFile: false,
    logLevel: "silent",
    // As an application's bundle has it.
    define: { "process.env.NODE_ENV": '"production"' },
    resolve: { conditions: ["ws-source"] },
    // A library's bundle keeps its white space unless the output is asked for it too: an application's has none.
    build: {
      write: false,
      lib: { entry, formats: ["es"], fileName: "bundle" },
      rolldownOptions: { output: { minify: true } },
    },
  });
  const [one, ...others] = [built].flat().flatMap((each) => ("output" in each ? each.output : []));
  if (one?.type !== "chunk" || others.length > 0) throw new Error("expected one chunk");
  return one.code;
}

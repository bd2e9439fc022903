/**
 * Compiles the kernel, packages/core/assembly, into packages/core/src/kernel-wasm.ts: a module as text, which works from
 * source, in a package and in a browser's bundle alike. Done again only where a source or the compiler has changed.
 *
 * `node .config/kernel.mjs FILE [SOURCE]` writes the bare module to FILE instead, or that of a single source.
 */
import { createHash } from "node:crypto";
import { readFileSync, readdirSync, renameSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const root = new URL("../", import.meta.url);
const sources = new URL("packages/core/assembly/", root);
const target = new URL("packages/core/src/kernel-wasm.ts", root);

/** A module that imports nothing: no runtime that allocates, no assertions that trap. */
const options = `--outFile kernel.wasm --runtime stub --initialMemory 8 --maximumMemory 8 --use abort= --noAssert --enable simd --optimizeLevel 3`;

/** Whether {@link target} is there and made of the sources and the compiler that are there. */
export function isKernelCompiled() {
  return textOf(target)?.startsWith(firstLine()) === true;
}

async function writeKernel() {
  const text = Buffer.from(await compile()).toString("base64");
  // Another process may be doing the same; whoever reads must not see half a file.
  const fresh = new URL(`kernel-wasm.${process.pid}.new`, target);
  writeFileSync(
    fresh,
    `${firstLine()}/** A WebAssembly module in base64. */\nexport const KERNEL_WASM: string =\n  "${text}";\n`,
  );
  renameSync(fresh, target);
}

async function compile(source = "index.ts") {
  const { default: asc } = await import("assemblyscript/asc");
  let module;
  const writeFile = (_name, contents) => {
    module = contents;
  };
  const args = [source, ...options.split(" "), "--baseDir", fileURLToPath(sources)];
  const { error } = await asc.main(args, { writeFile, stderr: process.stderr });
  if (error !== null || module === undefined) throw new Error("the kernel does not compile", { cause: error });
  return module;
}

/** Tells what the module depends on: the sources, the compiler's version, and the options. */
function firstLine() {
  const hash = createHash("sha256");
  for (const name of readdirSync(sources).sort()) hash.update(`${name}\0${textOf(new URL(name, sources))}\0`);
  hash.update(String(textOf(new URL("node_modules/assemblyscript/package.json", root))));
  hash.update(String(textOf(new URL(import.meta.url))));
  return `// Compiled from packages/core/assembly by .config/kernel.mjs: ${hash.digest("hex").slice(0, 16)}\n`;
}

function textOf(url) {
  try {
    return readFileSync(url, "utf8");
  } catch {
    return undefined;
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  if (process.argv[2] !== undefined) writeFileSync(process.argv[2], await compile(process.argv[3]));
  else if (!isKernelCompiled()) await writeKernel();
}

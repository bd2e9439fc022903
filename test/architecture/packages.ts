/** What the architecture tests read: the packages, their source files, and what those import and export. */
import { globSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** The workspace's folder. */
export const root: string = fileURLToPath(new URL("../../", import.meta.url));

export const packageNames: readonly string[] = readdirSync(join(root, "packages"));

export interface SourceFile {
  /** From the workspace's folder, with slashes: "packages/core/src/tile.ts". */
  readonly path: string;
  readonly code: string;
}

/** The source files of a package, without their comments. */
export function sourceFiles(packageName: string): SourceFile[] {
  const folder = `packages/${packageName}/src`;
  return globSync("**/*.ts", { cwd: join(root, folder) })
    .map((name) => `${folder}/${name.replaceAll("\\", "/")}`)
    .map((path) => ({ path, code: withoutComments(readFileSync(join(root, path), "utf8")) }));
}

function withoutComments(text: string): string {
  return text.replaceAll(/\/\*[^]*?\*\//g, "").replaceAll(/^\s*\/\/.*$/gm, "");
}

/** The module names that a source file imports or re-exports from, in whatever form. */
export function importsOf(code: string): string[] {
  const forms =
    /^\s*(?:import|export)\b[^;"'`]*?\bfrom\s*["']([^"']+)["']|^\s*import\s*["']([^"']+)["']|\bimport\(\s*["']([^"']+)["']/gm;
  return [...code.matchAll(forms)].map((match) => match[1] ?? match[2] ?? match[3] ?? "");
}

/** The names that a source file declares and exports. */
export function exportsOf(code: string): string[] {
  const declaration =
    /^export\s+(?:declare\s+|abstract\s+|async\s+)*(?:function\*?|class|const|let|interface|type)\s+(\w+)/gm;
  return [...code.matchAll(declaration)].map((match) => match[1] ?? "");
}

/** The table of docs/concepts/durability.md: of each kind of file and of damage, by whom it was noticed, and how often. */
import { readFile } from "node:fs/promises";
import type { Damage, LogFile, Outcome } from "./damaged-log.ts";

export const PAGE: URL = new URL("../../docs/concepts/durability.md", import.meta.url);

const TABLE = /^\| file \|[^]*?(?=\n\n)/m;

/** The rows, the first that fits a path. */
const ROWS: readonly (readonly [name: string, path: RegExp])[] = [
  ["table files `*.ldb`", /leveldb\/\d+\.ldb$/],
  ["write-ahead log `*.log`", /leveldb\/\d+\.log$/],
  ["`MANIFEST-*`", /leveldb\/MANIFEST/],
  ["`CURRENT`", /leveldb\/CURRENT$/],
  ["`head`", /\/head$/],
  ["`high-water`, `published`", /\/(high-water|published)$/],
  ["`epoch`", /\/epoch$/],
  ["`keys.<n>`", /\/keys\.\d+$/],
  ["`mark.<n>`", /\/mark\.\d+$/],
  ["`master.key`", /^master\.key$/],
  ["`keys/*.key`", /^keys\//],
  ["`policies/<log>.txt`", /^policies\//],
  ["`approval.key`, `identity.key`", /^(approval|identity)\.key$/],
  ["`tokens.json`", /^tokens\.json$/],
  ["`server.json`", /^server\.json$/],
];
const UNREAD = "`LOG`, `LOG.old`, `LOCK`, `lock/`, tables that LevelDB has merged into others";

const COLUMNS: readonly (readonly [name: string, kind: Damage["kind"]])[] = [
  ["a flipped bit", "bit"],
  ["removed", "removed"],
  ["cut short", "truncated"],
  ["of the day before", "older"],
];

/** As the page says it; the order within a cell. */
const BY: Readonly<Record<Outcome["by"], string>> = {
  start: "start",
  end: "end of the process, then start",
  read: "read",
  fsck: "fsck",
  nobody: "no effect",
  unnoticed: "**taken**",
};

export function formatTable(outcomes: readonly Outcome[]): string {
  const rows = [...ROWS.map(([name]) => name), UNREAD].map((row) => {
    const of = outcomes.filter(({ file }) => rowOf(file) === row);
    return [row, ...COLUMNS.map(([, kind]) => formatCell(of.filter(({ damage }) => damage.kind === kind)))];
  });
  const head = ["file", ...COLUMNS.map(([name]) => name)];
  return [head, head.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

/** `start 12: code, code; fsck 3: code` */
function formatCell(outcomes: readonly Outcome[]): string {
  const parts = Object.entries(BY).map(([by, word]) => {
    const of = outcomes.filter((outcome) => outcome.by === by);
    const codes = [...new Set(of.map(({ code }) => code))].filter((code) => code !== "").toSorted();
    if (of.length === 0) return "";
    return `${word} ${of.length.toLocaleString("en")}${codes.length === 0 ? "" : `: ${codes.map(quote).join(", ")}`}`;
  });
  return parts.filter((part) => part !== "").join("; ");
}

const quote = (code: string): string => `\`${code}\``;

function rowOf({ path, isRead }: LogFile): string {
  const row = isRead ? ROWS.find(([, pattern]) => pattern.test(path))?.[0] : UNREAD;
  if (row === undefined) throw new Error(`${path} is of no kind that the table knows`);
  return row;
}

/** The page with this table in place of its own. */
export async function pageWith(table: string): Promise<string> {
  const page = await readFile(PAGE, "utf8");
  if (!TABLE.test(page)) throw new Error("the page has no table of files");
  return page.replace(TABLE, () => table);
}

/** Whether the page says of this kind of file and of damage that such a thing is found. */
export async function isInPage({ file, damage, by, code }: Outcome): Promise<boolean> {
  const lines = TABLE.exec(await readFile(PAGE, "utf8"))?.[0].split("\n") ?? [];
  const cells = lines.map((line) => line.split(" | ")).find(([first]) => first === `| ${rowOf(file)}`);
  const cell = cells?.[1 + COLUMNS.findIndex(([, kind]) => kind === damage.kind)] ?? "";
  return cell.split("; ").some((part) => part.startsWith(`${BY[by]} `) && (code === "" || part.includes(quote(code))));
}

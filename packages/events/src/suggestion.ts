/** What somebody most likely meant: the nearest of the known words. */

/**
 * The Damerau-Levenshtein distance of two words in its restricted form (optimal string alignment): insertions,
 * deletions, substitutions and swaps of neighbours. Gives up above `max` and answers `max + 1`.
 */
export function editDistance(a: string, b: string, max: number): number {
  if (Math.abs(a.length - b.length) > max) return max + 1;
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let row = 1; row <= a.length; row += 1) {
    const current = nextRow({ a, b, row, last, beforeLast });
    if (Math.min(...current) > max) return max + 1;
    beforeLast = last;
    last = current;
  }
  return Math.min(last[b.length] ?? 0, max + 1);
}

interface Rows {
  readonly a: string;
  readonly b: string;
  readonly row: number;
  readonly last: readonly number[];
  readonly beforeLast: readonly number[];
}

function nextRow({ a, b, row, last, beforeLast }: Rows): number[] {
  const current = [row];
  for (let column = 1; column <= b.length; column += 1) {
    const same = a[row - 1] === b[column - 1];
    let best = Math.min(at(last, column) + 1, at(current, column - 1) + 1, at(last, column - 1) + (same ? 0 : 1));
    const swapped = row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1];
    if (swapped) best = Math.min(best, at(beforeLast, column - 2) + 1);
    current.push(best);
  }
  return current;
}

function at(row: readonly number[], column: number): number {
  return row[column] ?? Number.POSITIVE_INFINITY;
}

/** The one of `words` nearest to `word`, the first of several; `undefined` where all are further off than `max`. */
export function nearest(word: string, words: Iterable<string>, max: number): string | undefined {
  let found: string | undefined;
  let within = max;
  for (const candidate of words) {
    const distance = editDistance(word, candidate, within);
    if (distance > within) continue;
    found = candidate;
    if (distance === 0) break;
    within = distance - 1;
  }
  return found;
}

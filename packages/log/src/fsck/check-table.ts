/** The checks of entries (rows.ts), by index: four bytes an entry, and a bit that says whether there is one. */
import { IndexSet } from "./index-set.ts";

const CHUNK = 65_536;

export class CheckTable {
  readonly #chunks = new Map<number, Uint32Array>();
  readonly #known = new IndexSet();

  set(index: number, check: number): void {
    const at = Math.floor(index / CHUNK);
    let chunk = this.#chunks.get(at);
    if (chunk === undefined) this.#chunks.set(at, (chunk = new Uint32Array(CHUNK)));
    chunk[index % CHUNK] = check;
    this.#known.add(index);
  }

  /** `undefined` where none was set. */
  get(index: number): number | undefined {
    return this.#known.has(index) ? this.#chunks.get(Math.floor(index / CHUNK))?.[index % CHUNK] : undefined;
  }
}

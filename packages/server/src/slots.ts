/**
 * What is under way, each under a small number that is given again once it is over.
 *
 * For what comes and goes with every request a `Map` is the wrong place: it makes a new table after every few deletions, and
 * leaves in the old one whatever was under way just then, with a reference to the new one. Once a single such table
 * has grown old, all that follow stay reachable from it, and half of the requests with them, until the whole heap is
 * collected.
 */
export class Slots<T extends object> {
  readonly #values: (T | undefined)[] = [];
  readonly #free: number[] = [];

  add(value: T): number {
    const at = this.#free.pop() ?? this.#values.length;
    this.#values[at] = value;
    return at;
  }

  get(at: number): T | undefined {
    return this.#values[at];
  }

  /** Gives whether there was anything. */
  delete(at: number): boolean {
    if (this.#values[at] === undefined) return false;
    this.#values[at] = undefined;
    this.#free.push(at);
    return true;
  }

  /** In no order that means anything. */
  all(): T[] {
    return this.#values.filter((value) => value !== undefined);
  }
}

/** In place of LevelDB where it only serves as a lock: one life of a host at a time has a folder open. */
import { failure } from "../engine/disk.ts";
import { currentLife } from "../engine/world.ts";

export class Level {
  readonly #path: string;
  #isOpen = false;

  constructor(path: string) {
    this.#path = path;
  }

  async open(): Promise<void> {
    const life = currentLife();
    const { disk } = life.host;
    await disk.call("read", () => {
      disk.makeFolder(this.#path);
      if (disk.lock(this.#path, life)) return;
      throw new Error("Database failed to open", { cause: failure("LEVEL_LOCKED", "it is open already") });
    });
    this.#isOpen = true;
  }

  async close(): Promise<void> {
    const { disk } = currentLife().host;
    await disk.call("read", () => {
      if (this.#isOpen) disk.unlock(this.#path);
      this.#isOpen = false;
    });
  }
}

/** Random bytes that are the same for the same seed. */
import { currentWorld } from "../engine/world.ts";

export function randomBytes(size: number): Buffer {
  return Buffer.from(currentWorld().platform.bytes(size));
}

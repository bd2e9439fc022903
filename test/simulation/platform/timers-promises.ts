/** In place of `node:timers/promises`, on the simulated timers. */

export async function setTimeout(delayMs: number): Promise<void> {
  await new Promise<void>((resolve) => {
    globalThis.setTimeout(resolve, delayMs);
  });
}

export async function setImmediate(): Promise<void> {
  await new Promise<void>((resolve) => {
    globalThis.setImmediate(resolve);
  });
}

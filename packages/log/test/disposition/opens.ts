import { type Log, LogError } from "../../src/index.ts";

/** Whether an entry's contents open; anything but that they were erased fails. */
export async function opens(log: Log, index: number): Promise<boolean> {
  try {
    await log.readEvent({ index, reader: "auditor" });
    return true;
  } catch (error) {
    if (!(error instanceof LogError) || error.code !== "erased") throw error;
    return false;
  }
}

/** One run of a load against a server. */
import type { LoadPlan, LoadReport } from "./load/load.ts";
import { startGenerator } from "./servers/child.ts";

export type { LoadPlan, LoadReport };

export async function measureLoad(plan: LoadPlan): Promise<LoadReport> {
  const generator = await startGenerator<LoadReport>(plan);
  return generator.run();
}

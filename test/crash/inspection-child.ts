/** Inspects the folders that it is told of, one after another. */
import { type Order, inspect } from "./inspection.ts";

process.on("message", (order: Order) => {
  void inspect(order).then((inspection) => process.send?.(inspection));
});

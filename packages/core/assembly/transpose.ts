/** Between vectors of one message each and vectors of one word of four messages each. */

/** Turns four vectors of four words by their diagonal, and writes them `stride` bytes apart. */
@inline export function transpose(a: v128, b: v128, c: v128, d: v128, to: usize, stride: usize): void {
  const ab01 = v128.shuffle<i32>(a, b, 0, 4, 1, 5);
  const ab23 = v128.shuffle<i32>(a, b, 2, 6, 3, 7);
  const cd01 = v128.shuffle<i32>(c, d, 0, 4, 1, 5);
  const cd23 = v128.shuffle<i32>(c, d, 2, 6, 3, 7);
  v128.store(to, v128.shuffle<i64>(ab01, cd01, 0, 2));
  v128.store(to + stride, v128.shuffle<i64>(ab01, cd01, 1, 3));
  v128.store(to + 2 * stride, v128.shuffle<i64>(ab23, cd23, 0, 2));
  v128.store(to + 3 * stride, v128.shuffle<i64>(ab23, cd23, 1, 3));
}

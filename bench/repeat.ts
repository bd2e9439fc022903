/** Work that is repeated for a time, on this thread. */

/** Calls `work`, which does so many things and says how many, until `seconds` are over; gives how many a second. */
export function perSecond(seconds: number, work: () => number): number {
  work();
  let done = 0;
  const began = performance.now();
  const end = began + seconds * 1000;
  do done += work();
  while (performance.now() < end);
  return done / ((performance.now() - began) / 1000);
}

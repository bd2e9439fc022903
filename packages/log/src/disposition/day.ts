/** A day of 86,400 seconds, as all days of this log are: UTC, counted from 1970. */
export const DAY_MS = 86_400_000;

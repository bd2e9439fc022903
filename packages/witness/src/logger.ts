/** To whom a witness tells what its operator should know. */
export interface WitnessLogger {
  info(message: string, details: Readonly<Record<string, unknown>>): void;
  warn(message: string, details: Readonly<Record<string, unknown>>): void;
  error(message: string, details: Readonly<Record<string, unknown>>): void;
}

/** Tells nobody. */
export const silentLogger: WitnessLogger = { info: () => {}, warn: () => {}, error: () => {} };

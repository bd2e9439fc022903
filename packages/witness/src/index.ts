/** A C2SP witness: cosigns only checkpoints that extend what it cosigned before. */
export {};

/** Storage ports of a Tallystick log, their contract suite, the key store and the LevelDB driver. */
export {};

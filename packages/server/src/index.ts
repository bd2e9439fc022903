/** A Tallystick log over HTTP. */
export {};

/** The tallystick command. */
export {};

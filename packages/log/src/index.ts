/** A Tallystick log as a library: sequencing, integration, publishing, witnessing and recovery. */
export {};

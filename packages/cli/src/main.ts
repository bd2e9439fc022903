#!/usr/bin/env node
/** The `tallystick` command: parses its arguments, calls one library function, prints. */

process.stdout.write("usage: tallystick <command> [options]\n");

/** The primitives that a platform can speed up, in portable code for browsers and other runtimes. */
export { sha256 } from "@noble/hashes/sha2.js";

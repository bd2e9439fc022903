/** Event model and catalogue, canonical CBOR, commitments, leaves, batches and sealing: pure and isomorphic. */
export {};

/** The receipts that have verified, found by event id. They hold proofs and no contents. */

export interface KeptReceipt {
  readonly id: string;
  readonly index: number;
  /** The tlog-proof. */
  readonly proof: string;
}

/** A receipt with what ties it to the person whose data its event is. */
export interface TiedReceipt extends KeptReceipt {
  /** 32 hex digits of a keyed hash of that person's id: see persons.ts. Absent for an event of nobody. */
  readonly person?: string | undefined;
}

/** One writer; reads at any time. */
export interface ReceiptStore {
  /** Keeps receipts; durable on return, where the store is. */
  keep(receipts: readonly TiedReceipt[]): Promise<void>;
  get(id: string): Promise<KeptReceipt | undefined>;
  /** Removes the receipts of a person, from the disk too where there is one; gives how many. */
  forget(person: string): Promise<number>;
  close(): Promise<void>;
}

/** Receipts in memory, the newest `countMax` of them. */
export function createMemoryReceiptStore(countMax: number): ReceiptStore {
  const kept = new Map<string, TiedReceipt>();
  return {
    keep: async (receipts) => {
      for (const receipt of receipts) {
        kept.set(receipt.id, receipt);
        const [oldest] = kept.keys();
        if (kept.size > countMax && oldest !== undefined) kept.delete(oldest);
      }
    },
    get: async (id) => untied(kept.get(id)),
    forget: async (person) => {
      const theirs = [...kept.values()].filter((receipt) => receipt.person === person);
      for (const { id } of theirs) kept.delete(id);
      return theirs.length;
    },
    close: async () => kept.clear(),
  };
}

function untied(receipt: TiedReceipt | undefined): KeptReceipt | undefined {
  return receipt === undefined ? undefined : { id: receipt.id, index: receipt.index, proof: receipt.proof };
}

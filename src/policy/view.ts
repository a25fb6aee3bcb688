import { createHash } from "node:crypto";
import { unstamped } from "../models/k8s/proto/stamp.ts";

/**
 * What a node has seen of the cluster, as one number: the same for the same objects, whenever and in whatever order they came.
 * Tells whether two nodes, or a node and who wrote to the store, speak of the same state.
 */
export class View {
  readonly #hashes = new Map<string, bigint>();
  #sum = 0n;

  /** `value` undefined: the key is gone. */
  set(key: string, value: Uint8Array | undefined): void {
    this.#sum ^= this.#hashes.get(key) ?? 0n;
    if (value === undefined) {
      this.#hashes.delete(key);
      return;
    }
    const hash = createHash("sha256").update(key).update("\0").update(unstamped(value)).digest().readBigUInt64BE();
    this.#hashes.set(key, hash);
    this.#sum ^= hash;
  }

  /** 16 hexadecimal digits. */
  get digest(): string {
    return this.#sum.toString(16).padStart(16, "0");
  }
}

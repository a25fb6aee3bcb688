import { backoffDelay } from "../../src/base/backoff/backoff.ts";
import { type Clock, millis, seconds, sleep } from "../../src/base/clock/clock.ts";
import { fullMessage } from "../../src/base/errors/errors.ts";
import type { Log } from "../../src/infra/log/log.ts";
import { type NodeInfo, nodeIdKey, nodeInfoKey, nodeNameKey } from "../../src/models/node.ts";
import { NodesError } from "../../src/nodes/api.ts";
import type { NodeRegistry } from "../../src/nodes/registry.ts";
import type { StoreChange } from "../../src/stores/api/store.ts";
import { IdentityError } from "./identity.ts";

export interface PublisherOptions {
  readonly registry: Pick<NodeRegistry, "claim" | "publish">;
  /** As it is at first. */
  readonly self: NodeInfo;
  readonly clock: Clock;
  readonly log: Pick<Log, "warn">;
}

/**
 * Keeps this node known to the others: claims its ID and publishes how it is reached, at the start, when that changes and whenever a record of
 * it vanishes from the store, as all do when the store has lost its data. Always the ID that the pods' addresses come from.
 */
export class Publisher {
  readonly #options: PublisherOptions;
  readonly #keys: ReadonlySet<string>;
  #self: NodeInfo;
  /** Resolved: what is stored is to be looked at again. */
  #stale = Promise.withResolvers<void>();
  #problem: string | undefined;

  constructor(options: PublisherOptions) {
    this.#options = options;
    this.#self = options.self;
    const { name, id } = options.self;
    this.#keys = new Set([nodeInfoKey(name), nodeNameKey(name), nodeIdKey(id)]);
  }

  /** Why this node cannot be part of the cluster until somebody does something; that the store is away is no such reason. */
  get problem(): string | undefined {
    return this.#problem;
  }

  /** To be told of all changes of the store. */
  observe(changes: Iterable<StoreChange>): void {
    // What others have put in the place of our records is left: two nodes of one name would overwrite each other for ever.
    for (const { key, new: entry } of changes) if (!entry && this.#keys.has(key)) this.#stale.resolve();
  }

  /** The node is reached in another way; name and ID are the same. */
  move(self: NodeInfo): void {
    this.#self = self;
    this.#stale.resolve();
  }

  async run(signal: AbortSignal): Promise<void> {
    const aborted = new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
    while (!signal.aborted) {
      // What vanishes or changes while this is being written is found by the next round.
      this.#stale = Promise.withResolvers<void>();
      await this.#publish(signal);
      await Promise.race([this.#stale.promise, aborted]);
    }
  }

  /** Until the store has it. */
  async #publish(signal: AbortSignal): Promise<void> {
    const { registry, clock, log } = this.#options;
    for (let attempt = 0; !signal.aborted; attempt++) {
      const self = this.#self;
      try {
        const id = await registry.claim(self.name, { id: self.id, signal });
        if (id !== self.id) {
          const msg = `the store says that this node has ID ${id}, its pods have addresses of ID ${self.id}`;
          throw new IdentityError("IDENTITY", msg);
        }
        await registry.publish(self, { signal });
        this.#problem = undefined;
        return;
      } catch (err) {
        if (signal.aborted) return;
        const lasting = err instanceof IdentityError || (err instanceof NodesError && err.code === "ID_CONFLICT");
        this.#problem = lasting ? fullMessage(err) : undefined;
        log.warn({ err }, "cannot publish this node yet");
        await sleep(clock, backoffDelay({ first: millis(200), max: seconds(10) }, attempt), signal).catch(() => {});
      }
    }
  }
}

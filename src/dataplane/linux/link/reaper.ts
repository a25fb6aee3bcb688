import { faultPoint } from "../../../base/faults/fault-point.ts";
import type { Netlink } from "../namespace/namespaces.ts";
import { isNotFound } from "../netlink/errors.ts";
import { linkDelete, linkDeleteGroup, linkSet } from "../netlink/link-requests.ts";

/** Groups that a batch of removals may use: an octet that nobody else does, and a rotating one. */
const GROUP_BASE = 0x6864_0000;

interface Waiting {
  readonly name: string;
  readonly done: () => void;
  readonly failed: (error: unknown) => void;
}

/**
 * Removes links, many at once. The kernel waits 13–30 ms for its readers when a link goes, and holds its lock meanwhile;
 * links that are put into one group and deleted by it share that wait. What is asked for while a batch is under way makes
 * the next batch.
 */
export class LinkReaper {
  readonly #netlink: Netlink;
  #waiting: Waiting[] = [];
  #running = false;
  #batch = 0;

  constructor(netlink: Netlink) {
    this.#netlink = netlink;
  }

  /** Resolves when the link is gone, also when it was before. */
  remove(name: string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ name, done: resolve, failed: reject });
      if (this.#running) return;
      this.#running = true;
      // At the end of the turn: a transaction issues its removals one after the other.
      setImmediate(() => void this.#run()); // settles every waiter itself
    });
  }

  async #run(): Promise<void> {
    while (this.#waiting.length > 0) {
      const batch = this.#waiting;
      this.#waiting = [];
      if (batch.length === 1) await this.#removeOne(batch[0] as Waiting);
      else await this.#removeGroup(batch);
    }
    this.#running = false;
  }

  async #removeOne({ name, done, failed }: Waiting): Promise<void> {
    try {
      await this.#netlink.request(linkDelete({ name }));
      done();
    } catch (e) {
      if (isNotFound(e)) done();
      else failed(e);
    }
  }

  async #removeGroup(batch: readonly Waiting[]): Promise<void> {
    const group = GROUP_BASE + (++this.#batch & 0xffff);
    const marked = await Promise.allSettled(
      batch.map(({ name }) => this.#netlink.request(linkSet({ name }, { group }))),
    );
    faultPoint("link.grouped");
    const inGroup: Waiting[] = [];
    for (const [i, mark] of marked.entries()) {
      const waiting = batch[i] as Waiting;
      if (mark.status === "fulfilled") inGroup.push(waiting);
      else if (isNotFound(mark.reason)) waiting.done();
      else waiting.failed(mark.reason);
    }
    if (inGroup.length === 0) return;
    try {
      await this.#netlink.request(linkDeleteGroup(group));
      for (const waiting of inGroup) waiting.done();
    } catch (e) {
      // The group is gone when its last link went by itself in between.
      for (const waiting of inGroup) {
        if (isNotFound(e)) waiting.done();
        else await this.#removeOne(waiting);
      }
    }
  }
}

import { toError } from "../../../base/errors/errors.ts";
import { faultPoint } from "../../../base/faults/fault-point.ts";
import type { Netlink } from "../namespace/namespaces.ts";
import { isNotFound } from "../netlink/errors.ts";
import { linkDelete, linkDeleteGroup, linkSet } from "../netlink/link-requests.ts";
import type { Following } from "./departures.ts";

/** Groups that a batch of removals may use: an octet that nobody else does, and a rotating one. */
const GROUP_BASE = 0x6864_0000;

/** A link to remove. Without its index, its removal counts as done only when the kernel has answered. */
export interface Doomed {
  readonly name: string;
  readonly index?: number | undefined;
}

interface Waiting extends Doomed {
  readonly done: () => void;
  readonly failed: (error: Error) => void;
}

/**
 * Removes links, many at once, and says so as early as it is true. The kernel unlists a link, drops what lies on it and
 * announces that within a millisecond or two; its answer to the request comes only when all processors have passed a grace
 * period (rcu_barrier in netdev_run_todo), 13–30 ms later, during which it holds no lock. So the announcement counts, and
 * the answer where none comes. Links that are put into one group and deleted by it share both waits.
 */
export class LinkReaper {
  readonly #idle: Netlink[];
  readonly #follow: (onGone: (index: number) => void) => Promise<Following>;
  readonly #byIndex = new Map<number, Waiting>();
  #waiting: Waiting[] = [];
  #following: Promise<Following | undefined> | undefined;
  #running = 0;
  #scheduled = false;
  #groups = 0;

  /**
   * Each socket is for one batch at a time: what is asked for while all are waiting for the kernel's answer makes the next
   * batch. `follow` is {@link followDepartures}; it is followed only while something is being removed.
   */
  constructor(sockets: readonly Netlink[], follow: (onGone: (index: number) => void) => Promise<Following>) {
    this.#idle = [...sockets];
    this.#follow = follow;
  }

  /** Resolves when the link is gone, also when it was before. */
  remove(link: Doomed): Promise<void> {
    return new Promise((done, failed) => {
      this.#waiting.push({ ...link, done, failed });
      if (this.#scheduled) return;
      this.#scheduled = true;
      // At the end of the turn: a transaction issues its removals one after the other.
      setImmediate(() => {
        this.#scheduled = false;
        this.#next();
      });
    });
  }

  #next(): void {
    const socket = this.#waiting.length > 0 ? this.#idle.pop() : undefined;
    if (!socket) return;
    const batch = this.#waiting;
    this.#waiting = [];
    this.#running++;
    void this.#run(socket, batch); // settles every waiter itself
  }

  async #run(socket: Netlink, batch: readonly Waiting[]): Promise<void> {
    // Without announcements everything works as well, but slower.
    this.#following ??= this.#follow((index) => this.#gone(index)).catch(() => undefined);
    await this.#following;
    faultPoint("link.followed");
    for (const link of batch) if (link.index !== undefined) this.#byIndex.set(link.index, link);
    const [first] = batch;
    if (batch.length === 1 && first) await removeOne(socket, first);
    else await this.#removeGroup(socket, batch);
    for (const link of batch) if (link.index !== undefined) this.#byIndex.delete(link.index);
    this.#idle.push(socket);
    if (--this.#running === 0) this.#unfollow();
    this.#next();
  }

  #gone(index: number): void {
    this.#byIndex.get(index)?.done();
  }

  #unfollow(): void {
    const following = this.#following;
    this.#following = undefined;
    void following?.then((f) => f?.close());
  }

  async #removeGroup(socket: Netlink, batch: readonly Waiting[]): Promise<void> {
    const group = GROUP_BASE + (++this.#groups & 0xffff);
    const marked = await Promise.allSettled(batch.map(({ name }) => socket.request(linkSet({ name }, { group }))));
    const inGroup: Waiting[] = [];
    for (const [i, mark] of marked.entries()) {
      const link = batch[i] as Waiting;
      if (mark.status === "fulfilled") inGroup.push(link);
      else settle(link, toError(mark.reason));
    }
    faultPoint("link.grouped");
    if (inGroup.length === 0) return;
    try {
      await socket.request(linkDeleteGroup(group));
      for (const link of inGroup) link.done();
    } catch (e) {
      // The group is gone when its last link went by itself in between.
      for (const link of inGroup) {
        if (isNotFound(e)) link.done();
        else await removeOne(socket, link);
      }
    }
  }
}

async function removeOne(socket: Netlink, link: Waiting): Promise<void> {
  try {
    await socket.request(linkDelete({ name: link.name }));
    link.done();
  } catch (e) {
    settle(link, toError(e));
  }
}

function settle(link: Waiting, error: Error): void {
  if (isNotFound(error)) link.done();
  else link.failed(error);
}

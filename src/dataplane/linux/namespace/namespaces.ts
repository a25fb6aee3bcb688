import type { NetlinkDump, NetlinkRequest } from "../netlink/request.ts";

/** A netlink socket in one namespace. Requests made in one turn share a datagram and are carried out in order. */
export interface Netlink {
  request<T>(request: NetlinkRequest<T>): Promise<T>;
  dump<T>(dump: NetlinkDump<T>): Promise<T[]>;
}

/** A socket that its opener closes. */
export interface NetlinkSocket extends Netlink {
  close(): void;
}

interface Open {
  readonly socket: Promise<NetlinkSocket>;
  users: number;
}

/**
 * The node's own namespace and those of pods. A socket keeps its namespace alive, so a pod's is open only while somebody
 * uses it; users at the same time share one.
 */
export class Namespaces {
  readonly node: NetlinkSocket;
  readonly #open: (netns: string) => Promise<NetlinkSocket>;
  readonly #pods = new Map<string, Open>();

  /** `open` opens a socket in the namespace at a path, and rejects with ENOENT when there is none. */
  constructor(node: NetlinkSocket, open: (netns: string) => Promise<NetlinkSocket>) {
    this.node = node;
    this.#open = open;
  }

  /** Runs `work` with a socket in the namespace at `netns`. */
  async in<T>(netns: string, work: (netlink: Netlink) => Promise<T>): Promise<T> {
    let open = this.#pods.get(netns);
    if (!open) {
      open = { socket: this.#open(netns), users: 0 };
      this.#pods.set(netns, open);
    }
    open.users++;
    try {
      return await work(await open.socket);
    } finally {
      if (--open.users === 0) this.#release(netns, open);
    }
  }

  close(): void {
    this.node.close();
  }

  /** Closes at the end of this turn, so that an operation that follows at once finds the socket still open. */
  #release(netns: string, open: Open): void {
    setImmediate(() => {
      if (open.users > 0 || this.#pods.get(netns) !== open) return;
      this.#pods.delete(netns);
      open.socket.then(
        (socket) => socket.close(),
        () => {}, // it never opened; whoever asked for it was told
      );
    });
  }
}

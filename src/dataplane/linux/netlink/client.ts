import { ClosedError } from "../../../base/errors/errors.ts";
import { type AddressMessage, addressDump } from "./address.ts";
import { NetlinkSocketError } from "./errors.ts";
import { decodeBatch, decodeDump, encodeBatch, encodeDump, type Outcome, seqAfter } from "./exchange.ts";
import type { Link } from "./link.ts";
import { linkDump } from "./link-requests.ts";
import { type NativeError, type NativeNetlinkSocket, NetlinkProtocol, type NetnsTarget, native } from "./native.ts";
import { fdbDump, type Neighbour, neighbourDump } from "./neighbour.ts";
import { messageLength } from "./nlmsg.ts";
import type { NetlinkDump, NetlinkRequest } from "./request.ts";
import type { RouteMessage } from "./route.ts";
import { type RouteFilter, routeDump } from "./route-requests.ts";
import { type RuleMessage, ruleDump } from "./rule.ts";

/** A datagram's size, well inside the socket's send buffer and the addon's bound. */
const MAX_BATCH_BYTES = 256 << 10;
/** Answers to a datagram wait in the receive buffer until all its requests are done; this many fit many times over. */
const MAX_BATCH_REQUESTS = 1024;
/** Each repetition meets another change only on a machine that changes all the time. */
const DUMP_ATTEMPTS = 10;

/** Where and how a client is opened. */
export interface NetlinkClientOptions {
  /** Path or descriptor of the namespace; the process's own where absent. */
  readonly netns?: NetnsTarget;
  /** NETLINK_ROUTE where absent. */
  readonly protocol?: NetlinkProtocol;
}

interface Job {
  readonly bytes: number;
  /** Requests share a datagram, a dump has its own. */
  readonly request: NetlinkRequest<unknown> | undefined;
  readonly dump: NetlinkDump<unknown> | undefined;
  readonly settle: (outcome: Outcome<unknown>) => void;
}

/**
 * A netlink client in one namespace. Requests are done in the order in which they are made, each with its own result;
 * those made in the same turn, or while others are under way, go to the kernel in one datagram, which costs little more
 * than one alone. One that fails does not stop those behind it. The event loop never waits for the kernel.
 */
export class RtNetlink implements AsyncDisposable {
  readonly #socket: NativeNetlinkSocket;
  readonly #where: string;
  #queue: Job[] = [];
  #seq = 1;
  #closed = false;
  #running: Promise<void> | undefined;

  private constructor(socket: NativeNetlinkSocket, where: string) {
    this.#socket = socket;
    this.#where = where;
  }

  /**
   * Opens a socket in the namespace, where it stays. Rejects with a NetlinkSocketError: NOT_A_NETNS for a file that is
   * none, ENOENT for a path that is gone, EPERM without CAP_SYS_ADMIN.
   */
  static async open(options: NetlinkClientOptions = {}): Promise<RtNetlink> {
    const { netns, protocol = NetlinkProtocol.ROUTE } = options;
    const where = describeNetns(netns);
    try {
      return new RtNetlink(await native().openNetlink({ netns, protocol }), where);
    } catch (e) {
      throw socketError(`open a netlink socket${where}`, e);
    }
  }

  /** Does one request. Rejects with NetlinkError when the kernel refuses it. */
  request<T>(request: NetlinkRequest<T>): Promise<T> {
    return this.#submit(request).then((outcome) => {
      if (!outcome.ok) throw outcome.error;
      return outcome.value;
    });
  }

  /** Does requests together, in order; never rejects: each has its outcome. */
  burst<T>(requests: readonly NetlinkRequest<T>[]): Promise<Outcome<T>[]> {
    return Promise.all(requests.map((request) => this.#submit(request)));
  }

  /** All objects that a dump yields, repeated until the kernel gives a consistent one. */
  dump<T>(dump: NetlinkDump<T>): Promise<T[]> {
    return this.#add<T[]>({ bytes: messageLength(dump.body.length), request: undefined, dump }).then((outcome) => {
      if (!outcome.ok) throw outcome.error;
      return outcome.value;
    });
  }

  links(filter?: Parameters<typeof linkDump>[0]): Promise<Link[]> {
    return this.dump(linkDump(filter));
  }

  addresses(filter?: Parameters<typeof addressDump>[0]): Promise<AddressMessage[]> {
    return this.dump(addressDump(filter));
  }

  routes(filter?: RouteFilter): Promise<RouteMessage[]> {
    return this.dump(routeDump(filter));
  }

  neighbours(filter?: Parameters<typeof neighbourDump>[0]): Promise<Neighbour[]> {
    return this.dump(neighbourDump(filter));
  }

  fdb(filter?: Parameters<typeof fdbDump>[0]): Promise<Neighbour[]> {
    return this.dump(fdbDump(filter));
  }

  rules(filter?: Parameters<typeof ruleDump>[0]): Promise<RuleMessage[]> {
    return this.dump(ruleDump(filter));
  }

  /** Rejects what waits with ClosedError, and resolves when the datagram under way has been done. */
  async close(): Promise<void> {
    if (!this.#closed) {
      this.#closed = true;
      const waiting = this.#queue;
      this.#queue = [];
      for (const job of waiting) job.settle({ ok: false, error: closedError(this.#where) });
      this.#socket.close();
    }
    await this.#running;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #submit<T>(request: NetlinkRequest<T>): Promise<Outcome<T>> {
    return this.#add<T>({ bytes: messageLength(request.body.length), request, dump: undefined });
  }

  #add<T>(job: Omit<Job, "settle">): Promise<Outcome<T>> {
    if (this.#closed) return Promise.resolve({ ok: false, error: closedError(this.#where) });
    return new Promise((resolve) => {
      this.#queue.push({ ...job, settle: (outcome) => resolve(outcome as Outcome<T>) });
      // Owned by close(). It never rejects: every job takes its own failure.
      this.#running ??= this.#run();
    });
  }

  async #run(): Promise<void> {
    // What is requested in the same turn comes along.
    await Promise.resolve();
    for (let jobs = this.#take(); jobs.length > 0; jobs = this.#take()) {
      const [first] = jobs;
      if (first?.dump !== undefined) await this.#doDump(first, first.dump);
      else await this.#doBatch(jobs);
    }
    // In the same step as the look at the empty queue: a job added later starts a new run.
    this.#running = undefined;
  }

  /** The next datagram's jobs: one dump, or the requests up to the next dump. */
  #take(): Job[] {
    let bytes = 0;
    let count = 0;
    for (const job of this.#queue) {
      if (job.dump !== undefined || count === MAX_BATCH_REQUESTS || bytes + job.bytes > MAX_BATCH_BYTES) break;
      bytes += job.bytes;
      count++;
    }
    return this.#queue.splice(0, Math.max(count, 1));
  }

  async #doBatch(jobs: readonly Job[]): Promise<void> {
    const requests = jobs.map((job) => job.request).filter((r) => r !== undefined);
    const seq = this.#takeSeq(requests.length);
    let outcomes: Outcome<unknown>[];
    try {
      const answers = await this.#socket.transact(encodeBatch(requests, seq));
      outcomes = decodeBatch(requests, seq, answers, this.#where);
    } catch (e) {
      outcomes = requests.map((r) => ({ ok: false, error: socketError(r.words + this.#where, e) }));
    }
    for (const [i, job] of jobs.entries()) {
      const outcome = outcomes[i];
      if (outcome !== undefined) job.settle(outcome);
    }
  }

  async #doDump(job: Job, dump: NetlinkDump<unknown>): Promise<void> {
    const words = dump.words + this.#where;
    try {
      for (let attempt = 0; attempt < DUMP_ATTEMPTS; attempt++) {
        const seq = this.#takeSeq(1);
        const answers = await this.#socket.transact(encodeDump(dump, seq));
        const objects = await decodeDump(dump, seq, answers, this.#where);
        if (objects === undefined) continue;
        job.settle({ ok: true, value: objects });
        return;
      }
      const text = `the state changed during each of ${DUMP_ATTEMPTS} attempts`;
      job.settle({ ok: false, error: new NetlinkSocketError(words, "DUMP_INTERRUPTED", text) });
    } catch (e) {
      job.settle({ ok: false, error: socketError(words, e) });
    }
  }

  #takeSeq(count: number): number {
    const seq = this.#seq;
    this.#seq = seqAfter(seq, count);
    return seq;
  }
}

/** ` [/run/netns/hd1]`, for the words of errors. */
export function describeNetns(netns: NetnsTarget): string {
  if (netns === undefined) return "";
  return typeof netns === "string" ? ` [${netns}]` : ` [netns fd ${netns}]`;
}

function closedError(where: string): ClosedError {
  return new ClosedError(`the netlink client${where}`);
}

/** What the addon reported, as an error of ours; errors that are ours already stay as they are. */
export function socketError(words: string, e: unknown): Error {
  if (!(e instanceof Error)) return new NetlinkSocketError(words, "UNKNOWN", String(e));
  const { code, syscall } = e as Partial<NativeError>;
  if (code === "CLOSED") return new ClosedError(words);
  if (syscall === undefined || code === undefined) return e;
  return new NetlinkSocketError(words, code, e.message, { cause: e });
}

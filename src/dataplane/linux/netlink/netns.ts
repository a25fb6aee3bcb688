import { describeNetns, socketError } from "./client.ts";
import { decodeBatch, encodeBatch, type Outcome } from "./exchange.ts";
import type { NativeNetns, NativeStep, NetnsTarget } from "./native.ts";
import { NetlinkProtocol, native } from "./native.ts";
import type { NetlinkRequest } from "./request.ts";

/** What tells a network namespace from all others that exist, as text: `4:4026532281` (device and inode of its file). */
export type NetnsIdentity = string;

/**
 * A network namespace kept open: it exists until this is closed even if its path and processes go, and its descriptor
 * can be named in requests (`netnsFd`). Close it when done.
 */
export class Netns implements Disposable {
  readonly #native: NativeNetns;
  readonly path: string;
  readonly identity: NetnsIdentity;

  private constructor(handle: NativeNetns, path: string) {
    this.#native = handle;
    this.path = path;
    this.identity = `${handle.dev}:${handle.ino}`;
  }

  /** Rejects with a NetlinkSocketError: NOT_A_NETNS for a file that is none, ENOENT and the like for what can't be opened. */
  static async open(path: string): Promise<Netns> {
    try {
      return new Netns(await native().openNetns(path), path);
    } catch (e) {
      throw socketError(`open the namespace ${path}`, e);
    }
  }

  /** The descriptor, -1 once closed. */
  get fd(): number {
    return this.#native.fd;
  }

  close(): void {
    this.#native.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** The identity of the namespace at `path`; rejects as {@link Netns.open} does. */
export async function netnsIdentity(path: string): Promise<NetnsIdentity> {
  using netns = await Netns.open(path);
  return netns.identity;
}

/**
 * Something to do in a namespace: sysctls by name below /proc/sys (`net/ipv4/ip_forward`), rtnetlink requests, a tap device
 * of that name made, which they can't.
 */
export type NetnsStep =
  | { readonly read: string }
  | { readonly write: string; readonly value: string }
  | { readonly tap: string }
  | { readonly requests: readonly NetlinkRequest<unknown>[] };

/** What became of a {@link NetnsStep}: a sysctl's text without its line end, or an outcome for each request. */
export type NetnsResult = Outcome<string> | readonly Outcome<unknown>[];

/**
 * Does several steps in a namespace in one hop to a worker thread, in order, each with its own outcome: what sets up a
 * pod's side costs one switch of namespaces. Rejects with NetlinkSocketError when the namespace can't be entered.
 */
export async function inNetns(netns: NetnsTarget, steps: readonly NetnsStep[]): Promise<NetnsResult[]> {
  const where = describeNetns(netns);
  const nativeSteps = steps.map((step): NativeStep => {
    if ("read" in step) return { sysctl: step.read };
    if ("write" in step) return { sysctl: step.write, value: step.value };
    if ("tap" in step) return step;
    return { protocol: NetlinkProtocol.ROUTE, request: encodeBatch(step.requests, 1) };
  });
  let results: (Buffer | Error)[];
  try {
    results = await native().runIn(netns, nativeSteps);
  } catch (e) {
    throw socketError(`work${where}`, e);
  }
  return steps.map((step, i) => {
    const result = results[i] ?? new Error("no result");
    if ("requests" in step) {
      if (!(result instanceof Error)) return decodeBatch(step.requests, 1, result, where);
      return step.requests.map((r) => ({ ok: false, error: socketError(r.words + where, result) }));
    }
    if (!(result instanceof Error)) return { ok: true, value: result.toString().trimEnd() };
    return { ok: false, error: socketError(wordsOf(step) + where, result) };
  });
}

function wordsOf(step: Exclude<NetnsStep, { requests: unknown }>): string {
  if ("tap" in step) return `make tap ${step.tap}`;
  return "read" in step ? `read sysctl ${step.read}` : `set sysctl ${step.write} to ${step.value}`;
}

/** Reads a sysctl such as `net/ipv4/ip_forward` in a namespace. */
export async function readSysctl(netns: NetnsTarget, name: string): Promise<string> {
  return textOf(await inNetns(netns, [{ read: name }]));
}

/** Writes a sysctl in a namespace. */
export async function writeSysctl(netns: NetnsTarget, name: string, value: string): Promise<void> {
  textOf(await inNetns(netns, [{ write: name, value }]));
}

function textOf([result]: NetnsResult[]): string {
  if (result === undefined || !("ok" in result)) throw new Error("a sysctl step has one outcome");
  if (!result.ok) throw result.error;
  return result.value;
}

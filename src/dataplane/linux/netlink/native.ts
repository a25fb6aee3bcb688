import { createRequire } from "node:module";
import { join } from "node:path";
import { HeddleError } from "../../../base/errors/errors.ts";
import { packageFile } from "../../../base/files/package-file.ts";

/** Where something is to happen: a namespace's path, an open descriptor of one, or the process's own (undefined). */
export type NetnsTarget = string | number | undefined;

/** NETLINK_* protocol numbers of linux/netlink.h. */
export const NetlinkProtocol = { ROUTE: 0, NETFILTER: 12 } as const;
export type NetlinkProtocol = (typeof NetlinkProtocol)[keyof typeof NetlinkProtocol];

/**
 * What the addon's promises reject with: `code` is the errno's name (`ENOENT`), or `NOT_A_NETNS` for a file that is no
 * network namespace, or `CLOSED` for a socket that was closed before the request was sent.
 */
export interface NativeError extends Error {
  readonly code: string;
  readonly errno?: number;
  readonly syscall?: string;
  readonly path?: string;
}

/** A network namespace kept open; `dev` and `ino` identify it among all that exist. */
export interface NativeNetns {
  readonly fd: number;
  readonly dev: bigint;
  readonly ino: bigint;
  close(): void;
}

/** A netlink socket that stays in the namespace it was opened in. */
export interface NativeNetlinkSocket {
  readonly portId: number;
  readonly closed: boolean;
  /**
   * Sends one datagram (512 KiB at most) from a worker thread and resolves with everything that answers it, messages
   * end to end. Calls are done one after the other. Rejects with `ENOBUFS` when answers were lost.
   */
  transact(request: Uint8Array): Promise<Buffer>;
  /**
   * Calls back with what arrives from then on; `overrun` says that messages were lost. The socket then takes no
   * requests, and keeps the process alive until it is closed. What the callback throws is an uncaught exception.
   */
  listen(callback: (messages: Buffer, overrun: boolean) => void): void;
  /** May be called at any time, more than once: waiting requests reject with `CLOSED`, the one under way is finished. */
  close(): void;
}

/**
 * What `ethtool -K` calls so: segments are cut by the device, or by the kernel for it; packets are put together again; the
 * device completes checksums. `beyond-tcp`: anything else that a veth leaves to its other end (segments of UDP and SCTP, those
 * inside tunnels, SCTP's checksum).
 */
export type LinkFeature = "beyond-tcp" | "gro" | "gso" | "tso" | "tx";

/**
 * One thing to do inside a namespace: a netlink request; a sysctl (slashes, without /proc/sys) read or written; a feature
 * of a link read (one byte, 0 or 1) or switched, by ethtool's ioctl: `ENODEV` where there is no such link, `EOPNOTSUPP`
 * where it can't be changed; a tap device made that stays when nobody has it open: `EEXIST` where there is a link of that
 * name, `ENOENT` without /dev/net/tun.
 */
export type NativeStep =
  | { readonly protocol: NetlinkProtocol; readonly request: Uint8Array }
  | { readonly link: string; readonly feature: LinkFeature; readonly on?: boolean }
  | { readonly tap: string }
  | { readonly sysctl: string; readonly value?: string };

/** Does the same steps in a namespace again and again. */
export interface NativeReader {
  /**
   * As `runIn`, with counters of links and ages of neighbours as 0, and without neighbours that are not permanent. Resolves with undefined where all outcomes are those of the
   * last time. Not to be called again before it has resolved.
   */
  read(): Promise<(Buffer | NativeError)[] | undefined>;
  /** The next outcomes are told in any case. */
  forget(): void;
}

/** Memory of another process, mapped read-only; it may change at any time, and outlives that process. */
export interface NativeSharedMemory {
  /** Bytes; 0 once closed. */
  readonly size: number;
  /** Copies bytes to the beginning of `target`. Throws `OUT_OF_BOUNDS`, or `CLOSED`. Aligned 64-bit words are read whole. */
  read(offset: number, length: number, target: Uint8Array): void;
  close(): void;
}

/** The functions of native/src/addon.cc. */
export interface NativeAddon {
  openNetns(path: string): Promise<NativeNetns>;
  openNetlink(options: {
    readonly netns?: NetnsTarget;
    readonly protocol: NetlinkProtocol;
    /** Multicast groups by number (RTNLGRP_*). */
    readonly groups?: readonly number[];
    /** Bytes, 8 MiB unless told. */
    readonly receiveBuffer?: number;
  }): Promise<NativeNetlinkSocket>;
  /**
   * Does the steps in order on one worker thread inside the namespace; each has its own outcome, and a failed one does
   * not stop the next. Rejects when the namespace can't be entered.
   */
  runIn(netns: NetnsTarget, steps: readonly NativeStep[]): Promise<(Buffer | NativeError)[]>;
  readonly Reader: new (netns: string, steps: readonly NativeStep[]) => NativeReader;
  /**
   * Maps the memory whose descriptor the process at the other end of a SOCK_SEQPACKET socket sends to whoever connects.
   * Rejects with `ETIMEDOUT` if it does not within `timeoutMs`, with `EPROTO` if it sends something else.
   */
  receiveMemory(path: string, timeoutMs: number): Promise<NativeSharedMemory>;
}

/** The addon is not there or does not load: it has not been built (`npm run build`), or for another machine. */
export class NativeAddonError extends HeddleError<"NATIVE_ADDON"> {
  constructor(path: string, cause?: unknown) {
    super("NATIVE_ADDON", `cannot load the native addon ${path}; build it with scripts/build-native.sh`, { cause });
  }
}

let loaded: NativeAddon | undefined;

/** The addon, loaded on first use: from `HEDDLE_NATIVE`, or build/heddle_native.node of the package. */
export function native(): NativeAddon {
  loaded ??= load(addonPath());
  return loaded;
}

function load(path: string): NativeAddon {
  try {
    return createRequire(import.meta.url)(path) as NativeAddon;
  } catch (e) {
    throw new NativeAddonError(path, e);
  }
}

function addonPath(): string {
  const given = process.env["HEDDLE_NATIVE"];
  if (given) return given;
  const relative = "build/heddle_native.node";
  return packageFile(relative) ?? join(process.cwd(), relative);
}

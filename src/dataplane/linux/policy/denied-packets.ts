import { HeddleError } from "../../../base/errors/errors.ts";
import type { DeniedPacket } from "../../../policy/api.ts";
import { LogFollower, type LogListener } from "../nflog/follower.ts";
import { parseHeaders } from "../nflog/headers.ts";
import type { LoggedPacket } from "../nflog/messages.ts";
import { type DeniedPackets, LOGGED_BYTES } from "./base.ts";

interface Follower {
  close(): void;
}

/** How a group is followed: as {@link LogFollower.open} does, unless a test has its own. */
export type OpenFollower = (group: number, copyBytes: number, listener: LogListener) => Promise<Follower>;

/**
 * Hears of denied packets from the kernel. What can't be had (no nfnetlink_log, another program has the group) costs the
 * log only: then the kernel gets no rules that log.
 */
export class DeniedPacketLog {
  readonly #options: DeniedPackets;
  #follower: Follower | undefined;
  #problem: string | undefined;
  #listener: ((packets: readonly DeniedPacket[]) => void) | undefined;

  private constructor(options: DeniedPackets) {
    this.#options = options;
  }

  /** Rejects with NativeAddonError only. */
  static async open(options: DeniedPackets, open: OpenFollower = followGroup): Promise<DeniedPacketLog> {
    const log = new DeniedPacketLog(options);
    try {
      log.#follower = await open(options.group, LOGGED_BYTES, {
        packets: (packets) => log.#listener?.(packets.flatMap((p) => deniedPacket(p) ?? [])),
        // A log that is limited is not complete anyway; the counters are.
        lost: () => {},
      });
    } catch (e) {
      if (!(e instanceof HeddleError) || e.code === "NATIVE_ADDON") throw e;
      log.#problem = `denied packets are not logged: ${e.message}`;
    }
    return log;
  }

  /** What the kernel is to tell of; undefined if nobody would hear it. */
  get told(): DeniedPackets | undefined {
    return this.#follower && this.#options;
  }

  /** Why nobody hears of anything; undefined when all is well. */
  get problem(): string | undefined {
    return this.#problem;
  }

  follow(listener: (packets: readonly DeniedPacket[]) => void): void {
    this.#listener = listener;
  }

  close(): void {
    this.#follower?.close();
  }
}

const followGroup: OpenFollower = (...group) => LogFollower.open(...group);

/** Undefined for what cannot be read, or is not of our rules. */
export function deniedPacket({ prefix, payload }: LoggedPacket): DeniedPacket | undefined {
  if (prefix !== "egress" && prefix !== "ingress") return undefined;
  try {
    const headers = parseHeaders(payload);
    return headers && { direction: prefix, ...headers };
  } catch (e) {
    if (e instanceof HeddleError) return undefined;
    throw e;
  }
}

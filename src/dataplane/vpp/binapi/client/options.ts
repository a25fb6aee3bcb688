import type { BackoffOptions } from "../../../../base/backoff/backoff.ts";
import { type Clock, type Duration, millis, seconds } from "../../../../base/clock/clock.ts";
import type { ExpectedApi } from "../schema/describe.ts";
import type { ConnectionLimits } from "./requests.ts";
import type { TraceTap } from "./trace.ts";

/** How a call may end before VPP answers. */
export interface CallOptions {
  /** Gives the request up; VPP may carry it out all the same. The promise is rejected with the signal's reason. */
  readonly signal?: AbortSignal;
  /** Until the reply, or the end of a dump, waiting for a turn included. */
  readonly timeout?: Duration;
}

export interface DumpOptions extends CallOptions {
  /**
   * The same dump is made again and again: elements that are as they were are not decoded again, and are the same objects then.
   * The connection keeps what it was answered with, if that is neither short nor very long.
   */
  readonly again?: boolean;
}

export interface VppClientOptions {
  /** VPP's API socket: `socksvr { socket-name … }` of its startup.conf, `/run/vpp/api.sock` by default. */
  readonly socket: string;
  /** The directory of the running VPP's `*.api.json` files: `<prefix>/share/vpp/api`. */
  readonly apiDirectory: string;
  /** How VPP lists this client; `heddle` if absent. */
  readonly name?: string;
  /** For calls that name none; 5 s if absent. */
  readonly timeout?: Duration;
  /** 4,096 requests in VPP's hands and 65,536 waiting if absent. */
  readonly limits?: Partial<ConnectionLimits>;
  /**
   * A connection that has been silent for `idle` is asked for a `control_ping`; if nothing comes within `timeout`, VPP
   * counts as hung and the connection is closed. 1 s and 5 s if absent.
   */
  readonly keepAlive?: { readonly idle: Duration; readonly timeout: Duration };
  /** Between attempts to connect, which go on for ever; 20 ms growing to 500 ms if absent. */
  readonly backoff?: BackoffOptions;
  /** What to compare VPP's messages with: the generated types if absent. */
  readonly expected?: ExpectedApi;
  /** Likewise, of plugins that not every VPP has: those this build knows, if absent. */
  readonly optional?: readonly ExpectedApi[];
  /** Sees every message that crosses the socket, in memory that is used again afterwards; for recordings. */
  readonly tap?: TraceTap;
  /** Hears what no caller hears: lost connections, failed subscriptions, handlers that threw. */
  readonly onError?: (error: Error, what: string) => void;
  readonly clock?: Clock;
  readonly random?: () => number;
}

export const DEFAULTS = {
  name: "heddle",
  timeout: seconds(5),
  limits: { window: 4096, queue: 65_536 },
  keepAlive: { idle: seconds(1), timeout: seconds(5) },
  backoff: { first: millis(20), max: millis(500) },
} as const;

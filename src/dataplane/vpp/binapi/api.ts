import type { Duration } from "../../../base/clock/clock.ts";
import type { CallOptions, DumpOptions } from "./client/options.ts";
import type { MessageValue } from "./codec/codecs.ts";
import type { Dumps, Requests, Wants } from "./gen/index.gen.ts";
import type { XdpRequests } from "./gen/xdp.gen.ts";
import type { MessageDifference } from "./schema/verify.ts";

export type { CallOptions, DumpOptions, MessageValue };

/** Those of plugins that not every VPP has, too. */
interface AllRequests extends Requests, XdpRequests {}

/** Requests that have one reply, by message name. */
export type RequestName = keyof AllRequests;
export type RequestInput<N extends RequestName> = AllRequests[N]["input"];
export type Reply<N extends RequestName> = AllRequests[N]["reply"];

/** Requests that are answered by any number of elements. */
export type DumpName = keyof Dumps;
export type DumpInput<N extends DumpName> = Dumps[N]["input"];
export type Element<N extends DumpName> = Dumps[N]["element"];

/** Requests (`want_*`) that subscribe to events. */
export type WantName = keyof Wants;
export type EventOf<N extends WantName> = Wants[N]["event"];

/**
 * VPP's binary API as its users see it; `VppClient` is the real one. Every call rejects with
 *
 * - `VppApiError` when VPP answers with a retval that is not 0; its `code` is VPP's name for it;
 * - `VppEncodeError` when the input doesn't fit (nothing is sent);
 * - `VppMessageUnavailableError` when this VPP lacks the message, or has another one of that name;
 * - `VppDisconnectedError` when there is no connection, or it ends before the reply;
 * - `DeadlineError`, `OverloadedError`, `ClosedError`, or the reason of the caller's signal.
 *
 * Values must not be changed until the call has ended. Replies of one client come in the order of its requests.
 */
export interface VppApi {
  request<N extends RequestName>(name: N, input: RequestInput<N>, options?: CallOptions): Promise<Reply<N>>;

  /** All elements; for more than some 100,000 use {@link dumpEach}. */
  dump<N extends DumpName>(name: N, input: DumpInput<N>, options?: DumpOptions): Promise<readonly Element<N>[]>;

  /** Hands each element over as it arrives; resolves after the last one. What `element` throws ends the dump. */
  dumpEach<N extends DumpName>(
    name: N,
    input: DumpInput<N>,
    element: (element: Element<N>) => void,
    options?: CallOptions,
  ): Promise<void>;

  /**
   * Subscribes with a `want_*` request, at once and again after every reconnection. `handler` runs synchronously, in the
   * order of VPP's events; events while there is no connection are lost, so read the state anew when one is made.
   */
  subscribe<N extends WantName>(
    want: N,
    input: RequestInput<N>,
    handler: (event: EventOf<N>) => void,
    options?: SubscribeOptions<N>,
  ): Promise<Subscription>;

  /** Runs a debug CLI command (`cli_inband`) and returns its output. Rejects with `VppCliError` if VPP refuses it. */
  cli(command: string, options?: CallOptions): Promise<string>;

  /** {@link request} for a message that has no generated types; the reply's shape is what the API files say. */
  requestAny(name: string, input: MessageValue, options?: CallOptions): Promise<MessageValue>;

  /** {@link dump} likewise. */
  dumpAny(name: string, input: MessageValue, options?: DumpOptions): Promise<readonly MessageValue[]>;
}

export interface SubscribeOptions<N extends WantName> extends CallOptions {
  /** Sent when the subscription is closed: the same request with its switch off. Without it, only the handler goes. */
  readonly off?: RequestInput<N>;
}

/** Ends by `await using` or {@link close}. */
export interface Subscription extends AsyncDisposable {
  close(): Promise<void>;
}

/** What is known about the VPP at the other end. */
export interface VppInfo {
  /** VPP's process ID, in its own PID namespace. */
  readonly pid: number;
  /** How many messages it has, those of its plugins included. */
  readonly messages: number;
  /** What this build names and this VPP lacks or has in another shape. */
  readonly differences: readonly MessageDifference[];
  /** API files of plugins that not every VPP has, and this one does not: `af_xdp`. Their requests are refused. */
  readonly without: readonly string[];
}

/** Where a client stands. */
export type VppState =
  | { readonly s: "connecting"; readonly attempt: number }
  | { readonly s: "ready"; readonly info: VppInfo }
  /** The last attempt or connection failed with `error`; the next attempt is due. */
  | { readonly s: "waiting"; readonly error: Error; readonly attempt: number; readonly delay: Duration }
  | { readonly s: "closed" };

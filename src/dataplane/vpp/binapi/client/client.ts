import { backoffDelay } from "../../../../base/backoff/backoff.ts";
import { type Clock, sleep, systemClock } from "../../../../base/clock/clock.ts";
import { ClosedError, toError } from "../../../../base/errors/errors.ts";
import { Tasks } from "../../../../base/tasks/tasks.ts";
import type {
  CallOptions,
  DumpInput,
  DumpName,
  DumpOptions,
  Element,
  EventOf,
  MessageValue,
  Reply,
  RequestInput,
  RequestName,
  SubscribeOptions,
  Subscription,
  VppApi,
  VppInfo,
  VppState,
  WantName,
} from "../api.ts";
import type { Codecs } from "../codec/codecs.ts";
import { VppApiError, VppCliError, VppDisconnectedError, VppMessageUnavailableError } from "../errors.ts";
import { expectedApi } from "../gen/expected.gen.ts";
import { xdpApi } from "../gen/xdp.gen.ts";
import { ApiCache } from "./api-cache.ts";
import { Bindings, type BoundRequest } from "./bindings.ts";
import { connectVpp } from "./connect.ts";
import { type ConnectionCounters, VppConnection } from "./connection.ts";
import { watchLiveness } from "./liveness.ts";
import { DEFAULTS, type VppClientOptions } from "./options.ts";
import type { StartOptions } from "./requests.ts";
import { States } from "./states.ts";
import { Subscriptions, type Want } from "./subscriptions.ts";
import { formatTrace, TraceRing } from "./trace.ts";

/**
 * VPP's binary API. Connects, and connects again for as long as it is not closed; while there is no connection, calls are
 * refused at once. Made by {@link VppClient.start} or {@link VppClient.open}; closed by its owner.
 */
export class VppClient implements VppApi, AsyncDisposable {
  readonly #options: VppClientOptions;
  readonly #clock: Clock;
  readonly #onError: (error: Error, what: string) => void;
  readonly #tasks: Tasks;
  readonly #states: States;
  readonly #subscriptions: Subscriptions;
  readonly #trace: TraceRing;
  readonly #api: ApiCache;
  #connection: VppConnection | undefined;
  #unusable = new Map<string, string>();
  #requests = new Map<string, BoundRequest>();

  private constructor(options: VppClientOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#onError = options.onError ?? (() => {});
    this.#tasks = new Tasks((error, task) => this.#onError(error, task));
    this.#states = new States(this.#onError);
    this.#subscriptions = new Subscriptions(this.#onError);
    this.#trace = new TraceRing(options.tap);
    const { apiDirectory: directory, expected = expectedApi, optional = [xdpApi] } = options;
    const onProblem = (error: Error): void => this.#onError(error, "VPP's API files");
    this.#api = new ApiCache({ directory, expected, optional, onProblem });
  }

  /** A client that connects in the background: VPP may come later. */
  static start(options: VppClientOptions): VppClient {
    const client = new VppClient(options);
    client.#tasks.run("connection to VPP", (signal) => client.#connectForEver(signal));
    return client;
  }

  /**
   * As {@link start}, waiting for the first connection. When the signal aborts first, the client is closed and the error
   * says why the last attempt failed.
   */
  static async open(options: VppClientOptions & { readonly signal?: AbortSignal }): Promise<VppClient> {
    const client = VppClient.start(options);
    try {
      await client.ready(options.signal);
      return client;
    } catch (e) {
      await client.close();
      throw e;
    }
  }

  get state(): VppState {
    return this.#states.now;
  }

  /** Of the present connection. */
  get counters(): Readonly<ConnectionCounters> | undefined {
    return this.#connection?.counters;
  }

  /** The codecs of the API files, once they were read: for tools that look into messages. */
  get codecs(): Codecs | undefined {
    return this.#api.codecs;
  }

  /** Calls `listener` after every change of {@link state}, until disposed. */
  onState(listener: (state: VppState) => void): Disposable {
    return this.#states.listen(listener);
  }

  /** Resolves when there is a connection. Rejects when the client is closed or the signal aborts. */
  ready(signal?: AbortSignal): Promise<VppInfo> {
    return this.#states.ready(`waiting for VPP on ${this.#options.socket}`, signal);
  }

  // Not async: a promise less per request, where thousands are under way at once.
  request<N extends RequestName>(name: N, input: RequestInput<N>, options?: CallOptions): Promise<Reply<N>> {
    const reply: Promise<unknown> = this.requestAny(name, asValue(input), options);
    return reply as Promise<Reply<N>>;
  }

  async dump<N extends DumpName>(name: N, input: DumpInput<N>, options?: DumpOptions): Promise<readonly Element<N>[]> {
    const elements: unknown = await this.dumpAny(name, asValue(input), options);
    return elements as readonly Element<N>[];
  }

  async dumpEach<N extends DumpName>(
    name: N,
    input: DumpInput<N>,
    element: (element: Element<N>) => void,
    options: CallOptions = {},
  ): Promise<void> {
    const take = (value: unknown): void => element(value as Element<N>);
    await this.#connected(name).dump(this.#bound(name), asValue(input), this.#start(options, take));
  }

  requestAny(name: string, input: MessageValue, options: CallOptions = {}): Promise<MessageValue> {
    try {
      return this.#connected(name).call(this.#bound(name), input, this.#start(options));
    } catch (e) {
      return Promise.reject(toError(e));
    }
  }

  async dumpAny(name: string, input: MessageValue, options: DumpOptions = {}): Promise<readonly MessageValue[]> {
    if (options.again) return this.#connected(name).dumpAgain(this.#bound(name), input, this.#start(options));
    const elements: MessageValue[] = [];
    const take = (value: MessageValue): void => void elements.push(value);
    await this.#connected(name).dump(this.#bound(name), input, this.#start(options, take));
    return elements;
  }

  async cli(command: string, options?: CallOptions): Promise<string> {
    try {
      return (await this.request("cli_inband", { cmd: command }, options)).reply;
    } catch (cause) {
      if (!(cause instanceof VppApiError)) throw cause;
      throw new VppCliError(command, String(cause.reply["reply"]), { cause });
    }
  }

  async subscribe<N extends WantName>(
    request: N,
    input: RequestInput<N>,
    handler: (event: EventOf<N>) => void,
    options: SubscribeOptions<N> = {},
  ): Promise<Subscription> {
    const events = this.#connected(request).bindings.codecs.schema.services.get(request)?.events ?? [];
    const want: Want = {
      request,
      input: asValue(input),
      events,
      handler: (event: unknown) => handler(event as EventOf<N>),
    };
    this.#subscriptions.add(want); // first, so that no event is missed
    try {
      await this.request(request, input, options);
    } catch (e) {
      this.#subscriptions.delete(want);
      throw e;
    }
    const close = async (): Promise<void> => {
      const last = !this.#subscriptions.shares(want);
      this.#subscriptions.delete(want);
      if (options.off && last && this.state.s === "ready") await this.request(request, options.off);
    };
    return { close, [Symbol.asyncDispose]: close };
  }

  /** The last messages in both directions, one line each. Keys and secrets are left out. */
  trace(): string {
    const { codecs } = this.#api;
    return codecs ? formatTrace(this.#trace.entries(), codecs) : "";
  }

  /** Rejects everything that is pending with `VppDisconnectedError` and stops connecting. Idempotent. */
  async close(): Promise<void> {
    this.#connection?.close(new ClosedError("the VPP client"));
    await this.#tasks.close();
    this.#states.enter({ s: "closed" });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #connected(what: string): VppConnection {
    if (this.#connection) return this.#connection;
    if (this.state.s === "closed") throw new ClosedError("the VPP client");
    const cause = this.state.s === "waiting" ? { cause: this.state.error } : undefined;
    throw new VppDisconnectedError(what, false, cause);
  }

  /** Refuses what {@link verifyApi} found unusable, in the request or in what answers it. */
  #bound(name: string): BoundRequest {
    let bound = this.#requests.get(name);
    if (bound) return bound;
    const { bindings } = this.#connected(name);
    const service = bindings.codecs.schema.services.get(name);
    for (const message of [name, service?.reply, service?.streamMessage]) {
      const why = message === undefined ? undefined : this.#unusable.get(message);
      if (why !== undefined) throw new VppMessageUnavailableError(name, why);
    }
    this.#requests.set(name, (bound = bindings.request(name)));
    return bound;
  }

  #start({ timeout, signal }: CallOptions, element?: (value: MessageValue) => void): StartOptions {
    return { timeout: timeout ?? this.#options.timeout ?? DEFAULTS.timeout, signal, element };
  }

  async #connectForEver(signal: AbortSignal): Promise<void> {
    // A connected socket keeps the process alive, a timer of the clock does not. Whether VPP happens to be away should
    // make no difference to the program: it goes on until the client is closed.
    const hold = setInterval(() => {}, HOLD_MS);
    signal.addEventListener("abort", () => clearInterval(hold), { once: true });
    for (let attempt = 0; !signal.aborted; attempt++) {
      this.#states.enter({ s: "connecting", attempt });
      const { promise: ended, resolve } = Promise.withResolvers<Error>();
      let error: Error;
      try {
        const info = await this.#connect(resolve, signal);
        attempt = 0;
        this.#states.enter({ s: "ready", info });
        error = await ended;
      } catch (e) {
        error = toError(e);
        this.#connection?.close(error);
      }
      this.#connection = undefined;
      if (signal.aborted) return;
      if (attempt === 0) this.#onError(error, `the connection to VPP on ${this.#options.socket}`);
      const delay = backoffDelay(this.#options.backoff ?? DEFAULTS.backoff, attempt, this.#options.random);
      this.#states.enter({ s: "waiting", error, attempt, delay });
      await sleep(this.#clock, delay, signal);
    }
  }

  async #connect(ended: (error: Error) => void, signal: AbortSignal): Promise<VppInfo> {
    const options = this.#options;
    const timeout = options.timeout ?? DEFAULTS.timeout;
    const name = options.name ?? DEFAULTS.name;
    const { wire, registration } = await connectVpp(options.socket, { name, clock: this.#clock, timeout, signal });
    try {
      const { codecs, differences, without } = await this.#api.for(registration, signal);
      this.#unusable = new Map(differences.filter((d) => !d.usable).map((d) => [d.message, d.details.join("; ")]));
      this.#requests = new Map();
      const connection = new VppConnection(wire, new Bindings(codecs, registration), {
        clock: this.#clock,
        limits: { ...DEFAULTS.limits, ...options.limits },
        trace: this.#trace,
        events: {
          event: (event, value) => this.#subscriptions.deliver(event, value),
          problem: (error) => this.#onError(error, "an event"),
          closed: ended,
        },
      });
      wire.handover(connection);
      this.#connection = connection;
      const ping = await this.request("control_ping", {}, { signal });
      await this.#subscriptions.renew((want, input) => this.requestAny(want, input, { signal }));
      const { idle, timeout: answerWithin } = options.keepAlive ?? DEFAULTS.keepAlive;
      watchLiveness(connection, this.#clock, idle, answerWithin);
      return { pid: ping.vpe_pid, messages: registration.ids.size, differences, without };
    } catch (e) {
      wire.close(toError(e));
      throw e;
    }
  }
}

/** setInterval takes no more than 2³¹ − 1 ms. */
const HOLD_MS = 2 ** 30;

/** Generated types describe exactly what the codecs take and make; here they meet. */
const asValue = (input: object): MessageValue => input as MessageValue;

import { Etcd3, type IOptions } from "etcd3";
import type { Clock, Duration } from "../../base/clock/clock.ts";
import { isAuthDisabled, isStaleToken } from "./errors.ts";
import type { Credentials, Login } from "./options.ts";

export type EtcdService = "Auth" | "KV" | "Lease" | "Watch";

/** A streaming call of grpc-js. */
export interface RawStream<Request, Response> {
  write(request: Request): boolean;
  cancel(): void;
  on(event: "data", listener: (response: Response) => void): this;
  on(event: "error", listener: (error: Error) => void): this;
  on(event: "end", listener: () => void): this;
}

interface Metadata {
  set(key: string, value: string): void;
}

type UnaryMethod = (
  request: unknown,
  metadata: Metadata,
  callback: (error: Error | null, response: unknown) => void,
) => { cancel(): void };
type StreamMethod = (metadata: Metadata) => RawStream<never, unknown>;

/**
 * The policy that does nothing. etcd3's own retry calls with the default of three attempts and stop calling a host after
 * three failures; here every call is made once, and who called decides.
 */
const noPolicy = {
  execute: <T>(call: (context: { signal: AbortSignal }) => T) => call({ signal: new AbortController().signal }),
} as unknown as NonNullable<NonNullable<IOptions["faultHandling"]>["global"]>;

/**
 * etcd3 reduced to its generated gRPC clients. Its conveniences are not used: its watcher has no liveness check, its
 * lease starts calls in a constructor, its calls can't be cancelled, and it authenticates over again without end when a
 * token is refused.
 */
class RawClient extends Etcd3 {
  /** A client of the service and metadata of its own; there is one host and no policy, so this fails only when closed. */
  raw(service: EtcdService): Promise<{ client: Record<string, unknown>; metadata: Metadata }> {
    return this.pool.withConnection(service, ({ client, metadata }) => ({
      client: client as unknown as Record<string, unknown>,
      metadata,
    }));
  }
}

export interface ConnectionOptions {
  readonly endpoint: string;
  readonly credentials: Credentials | undefined;
  readonly login: Login | undefined;
  readonly clock: Clock;
}

let generation = 0;

/** Calls to one etcd endpoint. gRPC makes the TCP connection when needed, and again after it broke. */
export class EtcdConnection {
  readonly endpoint: string;
  readonly #client: RawClient;
  readonly #clock: Clock;
  readonly #login: Login | undefined;
  readonly #retired = new AbortController();
  #token: Promise<string | undefined> | undefined;
  #heardAt: number | undefined;

  constructor(options: ConnectionOptions) {
    this.endpoint = options.endpoint;
    this.#clock = options.clock;
    this.#login = options.login;
    this.#client = new RawClient({
      hosts: options.endpoint,
      ...(options.credentials && { credentials: options.credentials as NonNullable<IOptions["credentials"]> }),
      faultHandling: { global: noPolicy, host: () => noPolicy },
      grpcOptions: {
        // gRPC shares TCP connections between clients with equal options, so a dead one would come back: none are equal.
        "grpc.primary_user_agent": `heddle/${++generation}`,
        "grpc.initial_reconnect_backoff_ms": 100,
        "grpc.max_reconnect_backoff_ms": 1000,
        "grpc.max_receive_message_length": 64 * 1024 * 1024,
        "grpc.max_send_message_length": 64 * 1024 * 1024,
      },
    });
  }

  /** When an answer last came ({@link Clock.now}); undefined before the first. */
  get heardAt(): number | undefined {
    return this.#heardAt;
  }

  /** Aborts when this connection is given up: streams on it end. */
  get retired(): AbortSignal {
    return this.#retired.signal;
  }

  retire(reason: Error): void {
    this.#retired.abort(reason);
    this.#client.close();
  }

  /** Rejects with the error of grpc-js, or the reason of `cancelled`. */
  async unary<Response>(
    service: EtcdService,
    method: string,
    request: object,
    cancelled: AbortSignal,
  ): Promise<Response> {
    try {
      return await this.#unary<Response>(service, method, request, await this.#getToken(cancelled), cancelled);
    } catch (e) {
      if (!isStaleToken(e) || !this.#login) throw e;
      this.#token = undefined;
      return this.#unary<Response>(service, method, request, await this.#getToken(cancelled), cancelled);
    }
  }

  /** The caller must listen for errors and cancel it in the end. */
  async stream<Request, Response>(
    service: EtcdService,
    method: string,
    cancelled: AbortSignal,
  ): Promise<RawStream<Request, Response>> {
    const token = await this.#getToken(cancelled);
    const { client, metadata } = await this.#client.raw(service);
    if (token !== undefined) metadata.set("token", token);
    const stream = (client[method] as StreamMethod).call(client, metadata) as RawStream<Request, Response>;
    stream.on("data", () => (this.#heardAt = this.#clock.now()));
    stream.on("error", (e) => {
      if (isStaleToken(e)) this.#token = undefined;
    });
    return stream;
  }

  async #unary<Response>(
    service: EtcdService,
    method: string,
    request: object,
    token: string | undefined,
    cancelled: AbortSignal,
  ): Promise<Response> {
    const { client, metadata } = await this.#client.raw(service);
    if (token !== undefined) metadata.set("token", token);
    return new Promise<Response>((resolve, reject) => {
      if (cancelled.aborted) {
        reject(cancelled.reason);
        return;
      }
      const call = (client[method] as UnaryMethod).call(client, request, metadata, (error, response) => {
        cancelled.removeEventListener("abort", onCancel);
        if (error) {
          reject(error);
        } else {
          this.#heardAt = this.#clock.now();
          resolve(response as Response);
        }
      });
      const onCancel = () => {
        call.cancel();
        reject(cancelled.reason);
      };
      cancelled.addEventListener("abort", onCancel, { once: true });
    });
  }

  /** One at a time for all calls; forgotten when it fails. */
  async #getToken(cancelled: AbortSignal): Promise<string | undefined> {
    const login = this.#login;
    if (!login) return undefined;
    const request = { name: login.username, password: login.password };
    const token = (this.#token ??= this.#unary<{ token: string }>(
      "Auth",
      "authenticate",
      request,
      undefined,
      cancelled,
    ).then((response) => response.token));
    try {
      return await token;
    } catch (e) {
      if (this.#token === token) this.#token = undefined;
      if (isAuthDisabled(e)) return undefined; // as etcd's own client does: the server wants no token
      throw e;
    }
  }
}

/** How long a connection may be silent during a call before it counts as dead. */
export function patience(connection: EtcdConnection, dialTimeout: Duration, requestTimeout: Duration): Duration {
  return connection.heardAt === undefined && dialTimeout < requestTimeout ? dialTimeout : requestTimeout;
}

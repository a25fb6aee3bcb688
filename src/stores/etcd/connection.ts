import { isIP } from "node:net";
import { checkServerIdentity, type PeerCertificate } from "node:tls";
import { type ChannelCredentials, credentials as grpcCredentials, Metadata } from "@grpc/grpc-js";
import { Host } from "etcd3/lib/connection-pool.js";
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

type UnaryMethod = (
  request: unknown,
  metadata: Metadata,
  callback: (error: Error | null, response: unknown) => void,
) => { cancel(): void };
type StreamMethod = (metadata: Metadata) => RawStream<never, unknown>;

export interface ConnectionOptions {
  readonly endpoint: string;
  readonly credentials: Credentials | undefined;
  readonly login: Login | undefined;
  readonly clock: Clock;
}

let generation = 0;

/** Sent as the server's name where the endpoint is an address, which TLS does not let us send. */
const PLACEHOLDER_NAME = "etcd";

/**
 * Calls to one etcd endpoint. Of etcd3 it takes no more than the generated gRPC clients: its watcher has no liveness
 * check, its lease starts calls in a constructor, its calls can't be cancelled, its default policy retries and stops
 * calling, and it authenticates without end when a token is refused. gRPC makes the TCP
 * connection when needed, and again after it broke.
 */
export class EtcdConnection {
  readonly endpoint: string;
  readonly #host: Host;
  readonly #clock: Clock;
  readonly #login: Login | undefined;
  readonly #retired = new AbortController();
  #token: Promise<string | undefined> | undefined;
  #heardAt: number | undefined;

  constructor(options: ConnectionOptions) {
    this.endpoint = options.endpoint;
    this.#clock = options.clock;
    this.#login = options.login;
    const { host, hostname } = new URL(options.endpoint);
    const address = hostname.replace(/^\[|\]$/g, "");
    this.#host = new Host(host, channelCredentials(options, address), {
      // gRPC shares TCP connections between clients with equal options, so a dead one would come back: none are equal.
      "grpc.primary_user_agent": `heddle/${++generation}`,
      "grpc.initial_reconnect_backoff_ms": 100,
      "grpc.max_reconnect_backoff_ms": 1000,
      "grpc.max_receive_message_length": 64 * 1024 * 1024,
      "grpc.max_send_message_length": 64 * 1024 * 1024,
      ...(isIP(address) !== 0 && { "grpc.ssl_target_name_override": PLACEHOLDER_NAME }),
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
    this.#host.close();
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
    const client = this.#client(service);
    const metadata = new Metadata();
    if (token !== undefined) metadata.set("token", token);
    const stream = (client[method] as StreamMethod).call(client, metadata) as RawStream<Request, Response>;
    stream.on("data", () => (this.#heardAt = this.#clock.now()));
    stream.on("error", (e) => {
      if (isStaleToken(e)) this.#token = undefined;
    });
    return stream;
  }

  #client(service: EtcdService): Record<string, unknown> {
    if (this.#retired.signal.aborted) throw this.#retired.signal.reason;
    return this.#host.getServiceClient(service) as unknown as Record<string, unknown>;
  }

  #unary<Response>(
    service: EtcdService,
    method: string,
    request: object,
    token: string | undefined,
    cancelled: AbortSignal,
  ): Promise<Response> {
    const metadata = new Metadata();
    if (token !== undefined) metadata.set("token", token);
    return new Promise<Response>((resolve, reject) => {
      if (cancelled.aborted) {
        reject(cancelled.reason);
        return;
      }
      const client = this.#client(service);
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

/** @throws Error of OpenSSL when the files' content is of no use */
function channelCredentials({ endpoint, credentials }: ConnectionOptions, address: string): ChannelCredentials {
  if (!endpoint.startsWith("https:")) return grpcCredentials.createInsecure();
  const { rootCertificate = null, privateKey = null, certChain = null } = credentials ?? {};
  // grpc-js would check the certificate against the placeholder.
  const verify = { checkServerIdentity: (_name: string, cert: PeerCertificate) => checkServerIdentity(address, cert) };
  return grpcCredentials.createSsl(rootCertificate, privateKey, certChain, verify);
}

/** How long a connection may be silent during a call before it counts as dead. */
export function patience(connection: EtcdConnection, dialTimeout: Duration, requestTimeout: Duration): Duration {
  return connection.heardAt === undefined && dialTimeout < requestTimeout ? dialTimeout : requestTimeout;
}

import { createHash } from "node:crypto";
import { fullMessage, toError } from "../base/errors/errors.ts";
import { faultPoint } from "../base/faults/fault-point.ts";
import type { EventQueue } from "../controller/api.ts";
import type { HttpAnswer, HttpRequest } from "../infra/http/http-server.ts";
import type { Log } from "../infra/log/log.ts";
import { Counter, Histogram, LATENCY_BUCKETS, type Registry } from "../infra/metrics/metrics.ts";
import type { NetnsIdentity, PodWiring } from "./api.ts";
import { environmentFromHeaders } from "./cni/environment.ts";
import { CniError, errorVersion, toErrorBody } from "./cni/errors.ts";
import { type CniRequest, parseCniRequest } from "./cni/request.ts";
import { type CniResult, findInterface, formatResult } from "./cni/result.ts";
import { CNI_VERSIONS, type CniVersion, NEWEST_CNI_VERSION } from "./cni/versions.ts";
import { CniEvent, CniJob, type QueuedRequest } from "./jobs.ts";
import { podNameOf } from "./new-sandbox.ts";
import type { PodName } from "./sandbox.ts";

export interface CniServerOptions {
  readonly queue: EventQueue;
  readonly wiring: Pick<PodWiring, "netnsIdentity">;
  /** The node's own namespace, which is nobody's pod. */
  readonly ownNetns: NetnsIdentity;
  /** What keeps the node from serving ADD at all; undefined when nothing does. Pods can be removed and checked all the same. */
  readonly unavailable: () => string | undefined;
  /** What the next ADD would run out of; undefined when there is enough. For STATUS: an ADD is tried and finds out. */
  readonly exhausted: () => string | undefined;
  /** Resolves when what is to be known of a pod before its ADD is known, or need not be waited for any longer. */
  readonly known?: (pod: PodName, signal: AbortSignal) => Promise<void>;
  readonly timeoutMs: number;
  readonly log: Log;
  readonly registry: Registry;
}

/** An operation in hand, shared by those who asked for the same at once. */
interface InHand {
  readonly settled: Promise<CniResult | undefined>;
  waiters: number;
  readonly abandon: AbortController;
}

/** Answers `POST /cni`, as the CNI executable sends it: variables in headers, the configuration as body. */
export class CniServer {
  readonly #options: CniServerOptions;
  readonly #inHand = new Map<string, InHand>();
  readonly #metrics: ReturnType<typeof createMetrics>;

  constructor(options: CniServerOptions) {
    this.#options = options;
    this.#metrics = createMetrics(options.registry);
  }

  readonly handle = async (http: HttpRequest): Promise<HttpAnswer> => {
    const start = performance.now();
    faultPoint("cni.received");
    let command = "?";
    let version: CniVersion | undefined;
    try {
      const request = parseCniRequest(environmentFromHeaders(http.headers), http.body);
      command = request.command;
      if (request.command === "VERSION") {
        return json(200, { cniVersion: request.cniVersion ?? NEWEST_CNI_VERSION, supportedVersions: CNI_VERSIONS });
      }
      version = request.cniVersion;
      const result = await this.#serve(request, http);
      faultPoint("cni.settled");
      this.#metrics.count(command, "ok", start);
      return result ? json(200, formatResult(result, version)) : { status: 200, body: "" };
    } catch (e) {
      const error = toError(e);
      this.#metrics.count(command, error instanceof CniError ? error.code : "INTERNAL", start);
      this.#options.log.warn(
        { command, container: http.headers["x-cni-containerid"], error: fullMessage(e) },
        "CNI request failed",
      );
      return json(500, toErrorBody(e, version ?? errorVersion(http.body)));
    }
  };

  async #serve(
    request: Exclude<CniRequest, { command: "VERSION" }>,
    http: HttpRequest,
  ): Promise<CniResult | undefined> {
    const { unavailable, exhausted } = this.#options;
    if (request.command === "STATUS") {
      const why = unavailable() ?? exhausted();
      if (why !== undefined) throw new CniError("NOT_AVAILABLE", "this node cannot add pods now", why);
      return undefined;
    }
    const why = request.command === "ADD" ? unavailable() : undefined;
    if (why !== undefined) throw new CniError("TRY_AGAIN_LATER", "this node cannot add pods now", why);
    return this.#join(request, http, this.#timeoutMs(http));
  }

  /** A little less than the executable waits, so that it hears the reason. */
  #timeoutMs(http: HttpRequest): number {
    const asked = Number(http.headers["x-cni-timeout-ms"]);
    return asked > 0 ? Math.min(this.#options.timeoutMs, asked * 0.95) : this.#options.timeoutMs;
  }

  /** The same operation asked twice at once is done once; it is given up only when all who asked have gone. */
  async #join(request: QueuedRequest, http: HttpRequest, timeoutMs: number): Promise<CniResult | undefined> {
    const asked = digest(request);
    const identity = `${request.command} ${asked}`;
    let op = this.#inHand.get(identity);
    // One that was given up is being taken back; who asks now asks for another one.
    if (!op || op.abandon.signal.aborted) {
      const abandon = new AbortController();
      const settled = this.#run(request, asked, abandon.signal);
      const mine: InHand = { settled, waiters: 0, abandon };
      op = mine;
      this.#inHand.set(identity, mine);
      const forget = () => {
        if (this.#inHand.get(identity) === mine) this.#inHand.delete(identity);
      };
      settled.then(forget, forget);
    }
    return this.#await(op, request, http.signal, timeoutMs);
  }

  async #await(
    op: InHand,
    request: QueuedRequest,
    gone: AbortSignal,
    timeoutMs: number,
  ): Promise<CniResult | undefined> {
    op.waiters++;
    const left = Promise.withResolvers<never>();
    const leave = (why: Error) => {
      if (--op.waiters === 0) op.abandon.abort(why);
      left.reject(why);
    };
    const onGone = () => leave(toError(gone.reason));
    const timer = setTimeout(() => {
      const msg = `${request.command} did not finish within ${timeoutMs / 1000} s`;
      leave(new CniError("TRY_AGAIN_LATER", msg, "see the agent's log and `heddlectl scheduler history`"));
    }, timeoutMs);
    if (gone.aborted) onGone();
    else gone.addEventListener("abort", onGone, { once: true });
    try {
      return await Promise.race([op.settled, left.promise]);
    } finally {
      clearTimeout(timer);
      gone.removeEventListener("abort", onGone);
    }
  }

  async #run(request: QueuedRequest, asked: string, signal: AbortSignal): Promise<CniResult | undefined> {
    const netnsId = request.command === "ADD" ? await this.#identify(request.netns) : undefined;
    faultPoint("cni.identified");
    if (request.command === "ADD" && request.prevResult) {
      const existing = findInterface(request.prevResult, request.ifname, request.netns);
      if (existing) {
        const msg = `an earlier plugin of the chain has made ${request.ifname}`;
        throw new CniError("INTERFACE_EXISTS", msg, "Heddle makes the pod's interface itself; put it first");
      }
    }
    if (request.command === "ADD") {
      const pod = podNameOf(request);
      if (pod) await this.#options.known?.(pod, signal);
    }
    const job = new CniJob(request, signal, asked, netnsId);
    this.#options.queue.push(new CniEvent(job));
    return job.settled;
  }

  async #identify(netns: string): Promise<NetnsIdentity> {
    let identity: NetnsIdentity | undefined;
    try {
      identity = await this.#options.wiring.netnsIdentity(netns);
    } catch (e) {
      throw new CniError("INVALID_NETNS", `CNI_NETNS ${netns} cannot be used`, fullMessage(e), { cause: e });
    }
    if (!identity) {
      throw new CniError("INVALID_NETNS", `CNI_NETNS ${netns} does not exist`, "the pod's namespace is gone");
    }
    if (identity === this.#options.ownNetns) {
      throw new CniError(
        "INVALID_NETNS",
        `CNI_NETNS ${netns} is the node's own namespace`,
        "a pod needs one of its own",
      );
    }
    return identity;
  }
}

/** Equal for equal requests. */
function digest(request: QueuedRequest): string {
  return createHash("sha256").update(JSON.stringify(request)).digest("base64url");
}

const json = (status: number, body: unknown): HttpAnswer => ({ status, body, contentType: "application/json" });

function createMetrics(registry: Registry) {
  const registers = [registry];
  const requests = new Counter({
    name: "heddle_cni_requests_total",
    help: "CNI requests answered",
    labelNames: ["command", "result"],
    registers,
  });
  const seconds = new Histogram({
    name: "heddle_cni_request_seconds",
    help: "Time from reading a CNI request to its answer",
    labelNames: ["command"],
    buckets: LATENCY_BUCKETS,
    registers,
  });
  return {
    count(command: string, result: string, start: number) {
      requests.inc({ command, result });
      seconds.observe({ command }, (performance.now() - start) / 1000);
    },
  };
}

import { hostPortsOf } from "../../../cmd/vswitch-agent/services.ts";
import { seconds } from "../../../src/base/clock/clock.ts";
import { ManualClock } from "../../../src/base/clock/manual-clock.ts";
import { Controller } from "../../../src/controller/controller.ts";
import { silentLog } from "../../../src/infra/log/log.ts";
import { Registry } from "../../../src/infra/metrics/metrics.ts";
import type { KeyValue } from "../../../src/kvscheduler/api/descriptor.ts";
import type { FurtherKind, PodEndNow, PodLinkKind, PodRow, PodWiring, SandboxId } from "../../../src/pods/api.ts";
import { CniError } from "../../../src/pods/cni/errors.ts";
import { parseCniRequest } from "../../../src/pods/cni/request.ts";
import type { CniResult } from "../../../src/pods/cni/result.ts";
import { type PodAddresses, PodsHandler } from "../../../src/pods/handler.ts";
import { CniEvent, CniJob, type QueuedRequest } from "../../../src/pods/jobs.ts";
import { decodeSandbox, SANDBOX_PREFIX, type Sandbox } from "../../../src/pods/sandbox.ts";
import type { Frontend, ServiceWiring } from "../../../src/services/api.ts";
import { ServiceHandler } from "../../../src/services/handler.ts";
import { StaleConnections } from "../../../src/services/stale.ts";
import { FakeMemory, FakeScheduler, turns } from "../controller/fakes.ts";

/** A dataplane that wires nothing: an item for the link, one for each address. */
export class FakeWiring implements PodWiring {
  readonly gateways = { ipv4: "169.254.1.1", ipv6: "fe80::1" };
  /** What lies at a path; a path that is not here has no namespace. */
  readonly namespaces = new Map<string, string | Error>();
  /** Differences that `check` finds, by sandbox. */
  readonly problems = new Map<SandboxId, readonly string[]>();
  readonly checked: PodRow[] = [];
  /** Keys of other items that were looked at with them. */
  readonly alsoChecked: string[] = [];

  *render(row: PodRow): Iterable<KeyValue> {
    yield { key: `link/${row.hostIf}`, value: `${row.netnsId} ${row.ifName} ${row.mac} ${row.mtu}` };
    for (const f of row.further ?? []) yield { key: `further/${f.number}`, value: `${f.hostIf} ${f.kind}` };
    for (const ip of row.ips) yield { key: `route/${ip}`, value: row.hostIf };
  }

  /** What new pods get. */
  link: PodLinkKind = "veth";

  linkKind(): PodLinkKind {
    return this.link;
  }

  /** Kinds of further interfaces that this dataplane has not. */
  readonly lacks = new Set<FurtherKind>();

  refusesFurther(kind: FurtherKind): string | undefined {
    return this.lacks.has(kind) ? `no ${kind} here` : undefined;
  }

  async check(row: PodRow, _now?: PodEndNow, also: readonly KeyValue[] = []): Promise<readonly string[]> {
    this.checked.push(row);
    this.alsoChecked.push(...also.map(({ key }) => key));
    return this.problems.get(row.id) ?? [];
  }

  async netnsIdentity(path: string): Promise<string | undefined> {
    const found = this.namespaces.get(path);
    if (found instanceof Error) throw found;
    return found;
  }
}

/** Addresses from a short list, the same again for the same owner, none twice at once. */
export class FakeAddresses implements PodAddresses {
  readonly held = new Map<string, readonly string[]>();
  readonly #capacity: number;
  readonly #writes = new Map<string, string | undefined>();

  constructor(capacity = 100) {
    this.#capacity = capacity;
  }

  allocate(owner: SandboxId, requested: readonly string[]): readonly string[] {
    const taken = new Set([...this.held.values()].flat());
    const free = Array.from({ length: this.#capacity }, (_, i) => `10.0.0.${i + 2}`).find((ip) => !taken.has(ip));
    const ips = requested.length > 0 ? requested : free === undefined ? [] : [free];
    if (ips.length === 0 || ips.some((ip) => taken.has(ip))) throw new CniError("NO_ADDRESS", "no address for the pod");
    this.held.set(owner, ips);
    return ips;
  }

  release(owner: SandboxId): void {
    if (this.held.delete(owner)) this.#writes.set(`ipam/${owner}`, "released");
  }

  keep(owner: SandboxId, ips: readonly string[]): void {
    this.held.set(owner, ips);
    this.#writes.set(`ipam/${owner}`, undefined);
  }

  *writes(): Iterable<readonly [string, string | undefined]> {
    yield* this.#writes;
    this.#writes.clear();
  }
}

export interface JobOptions {
  readonly id?: string;
  readonly ifname?: string;
  /** Path of the namespace. */
  readonly netns?: string;
  readonly netnsId?: string;
  readonly signal?: AbortSignal;
  /** Added to the network configuration. */
  readonly config?: object;
  readonly args?: string;
}

/** A job as the server makes it. */
export function makeJob(command: QueuedRequest["command"], options: JobOptions = {}): CniJob {
  const { id = "c1", ifname = "eth0", netns = `/run/netns/${id}`, netnsId = `ns-${id}` } = options;
  const environment = {
    command,
    containerId: id,
    netns,
    ifname,
    path: "/opt/cni/bin",
    args: options.args ?? "IgnoreUnknown=1",
  };
  const config = { cniVersion: "1.1.0", name: "net", type: "heddle", ...options.config };
  const request = parseCniRequest(environment, Buffer.from(JSON.stringify(config))) as QueuedRequest;
  const asked = JSON.stringify(request);
  return new CniJob(request, options.signal ?? new AbortController().signal, asked, netnsId);
}

/** What a job ended in: its result, or `CODE message`. */
export async function ended(job: CniJob): Promise<CniResult | string | undefined> {
  try {
    return await job.settled;
  } catch (e) {
    return e instanceof CniError ? `${e.code} ${e.message}` : `not a CniError: ${String(e)}`;
  }
}

const portItem = ({ protocol, address, port, service }: Frontend): KeyValue => ({
  key: `port/${protocol.toLowerCase()}/${address ?? "*"}/${port}`,
  value: service.pod,
});

/** Nothing but an item for each host port. */
const SERVICES: ServiceWiring = {
  serviceBase: () => [],
  renderServices: ({ frontends }) => frontends.map(portItem),
  renderServiceChanges: ({ frontends }) =>
    frontends.flatMap(({ old, new: now }) =>
      now ? portItem(now) : old ? { key: portItem(old).key, value: undefined } : [],
    ),
  renderHostPorts: (frontends) => frontends.map(portItem),
};

/** The pods feature in a real loop, with what serves host ports behind it, over doubles of everything below. */
export class PodsRig {
  readonly clock = new ManualClock();
  readonly scheduler = new FakeScheduler();
  readonly memory: FakeMemory;
  readonly wiring = new FakeWiring();
  readonly addresses: PodAddresses;
  readonly pods: PodsHandler;
  readonly services: ServiceHandler;
  readonly controller: Controller;

  constructor(options: { sandboxes?: readonly Sandbox[]; addresses?: PodAddresses; memory?: FakeMemory } = {}) {
    this.addresses = options.addresses ?? new FakeAddresses();
    this.memory = options.memory ?? new FakeMemory();
    this.pods = new PodsHandler({
      wiring: this.wiring,
      addresses: this.addresses,
      queue: { push: (e) => this.controller.push(e), followUp: (e) => this.controller.followUp(e) },
      clock: this.clock,
      log: silentLog,
      hostPortItems: (id) => this.services.hostPortItems(id),
      mtu: () => 1450,
      sandboxes: options.sandboxes ?? [],
    });
    this.services = new ServiceHandler({
      wiring: SERVICES,
      engine: { node: "n1", podCidrs: [], nodePortAddresses: [], nodeExternalIps: "ignore" },
      serves: false,
      hostPorts: () => hostPortsOf(this.pods.sandboxes()),
      changesHostPorts: (event) => this.pods.handles(event),
      ownAddresses: () => [],
      stale: new StaleConnections({ wiring: SERVICES, clock: this.clock, log: silentLog }),
      log: silentLog,
      isInPlace: () => true,
    });
    this.controller = new Controller({
      handlers: [this.pods, this.services],
      scheduler: this.scheduler.asScheduler,
      memory: this.memory,
      clock: this.clock,
      log: silentLog,
      registry: new Registry(),
      healing: { afterErrorSeconds: 5, periodSeconds: 0 },
    });
  }

  push(command: QueuedRequest["command"], options?: JobOptions): CniJob {
    const job = makeJob(command, options);
    this.controller.push(new CniEvent(job));
    return job;
  }

  run(command: QueuedRequest["command"], options?: JobOptions): Promise<CniResult | string | undefined> {
    return ended(this.push(command, options));
  }

  /** Keys of the next transactions that fail, until it is called again. */
  fail(...prefixes: string[]): void {
    this.scheduler.answer = (txn) => {
      const keys = [...(txn.changes ?? [])].map(([key]) => key);
      const failed = keys.filter((key) => prefixes.some((prefix) => key.startsWith(prefix)));
      return { errors: new Map(failed.map((key) => [key, new Error(`${key} is broken`)])) };
    };
  }

  get ids(): string[] {
    return [...this.pods.sandboxes()].map((s) => s.row.id);
  }

  sandbox(id: string): Sandbox {
    const found = [...this.pods.sandboxes()].find((s) => s.row.id === id);
    if (!found) throw new Error(`no sandbox ${id}`);
    return found;
  }

  /** The sandboxes of the local database. */
  get remembered(): Map<string, Sandbox> {
    const records = [...this.memory.records].filter(([key]) => key.startsWith(SANDBOX_PREFIX));
    return new Map(records.map(([key, text]) => [key.slice(SANDBOX_PREFIX.length), decodeSandbox(key, text)]));
  }

  /** Until the loop has nothing left to do. */
  async idle(): Promise<void> {
    do await turns(3);
    while (this.controller.waiting > 0);
  }

  async heal(): Promise<void> {
    await this.clock.advanceAsync(seconds(5));
    await this.idle();
  }
}

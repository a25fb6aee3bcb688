import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { type Clock, millis } from "../../base/clock/clock.ts";
import type { IpAddress } from "../../base/ip/address.ts";
import type { EgressWiring } from "../../egress/api.ts";
import type { Log } from "../../infra/log/log.ts";
import type { Descriptor, KeyValue } from "../../kvscheduler/api/descriptor.ts";
import type { Scheduler } from "../../kvscheduler/api/scheduler.ts";
import { GATEWAY_IPV4, GATEWAY_IPV6, OWN_NETNS } from "../../models/linux.ts";
import type { LocalNodeRow, PeerRow } from "../../nodes/api.ts";
import type { FurtherKind, PodEndNow, PodRow } from "../../pods/api.ts";
import type { Dataplane, InterfaceOwner, MetricFamily, Underlay, UnderlayLeases } from "../api.ts";
import { LinuxDataplane, type LinuxDataplaneOptions } from "../linux/linux-dataplane.ts";
import { asChanged, checkItems } from "../linux/pods/check.ts";
import type { TakenLinkRecords } from "../linux/taken-link/descriptor.ts";
import { IfStatusFlags, VppClient } from "./binapi/index.ts";
import { cnatOptions } from "./cnat/startup.ts";
import { vppDescriptors } from "./descriptors.ts";
import type { DhcpOptions } from "./dhcp/uplink-lease.ts";
import { renderEgress } from "./egress/renderer.ts";
import { featureWarnings, NoPluginError } from "./features.ts";
import { FlowFilter } from "./flow-filter/filter.ts";
import { findVppInstallation, NoVppError } from "./installation.ts";
import { parseInterfaceTag } from "./interface/tag.ts";
import { VHOST_NET } from "./interface/tap.ts";
import { uplinkInterface } from "./names.ts";
import { renderLocalNode, renderPeer } from "./nodes/renderer.ts";
import { sourceTranslation } from "./nodes/translation.ts";
import { refusesFurther } from "./pods/further.ts";
import { renderPod } from "./pods/renderer.ts";
import { type PodInterfaceChoice, podLinkKind } from "./pods/tap.ts";
import { VppPolicies } from "./policy/policies.ts";
import { retreat } from "./retreat.ts";
import { SERVICE_LIMITS } from "./services/limits.ts";
import { VppServices } from "./services/services.ts";
import { VppSession } from "./session/session.ts";
import { VppStatistics } from "./stats/statistics.ts";
import { MOST_READABLE, preloadEnvironment } from "./supervisor/preload.ts";
import { apiProbe, cliProbe } from "./supervisor/probes.ts";
import { keeperProgram, SocketKeeper } from "./supervisor/socket-keeper.ts";
import { type StartupConf, vppPaths } from "./supervisor/startup-conf.ts";
import { VppSupervisor } from "./supervisor/supervisor.ts";
import { VppUnderlay } from "./underlay.ts";
import { checkRunning } from "./uplink/check.ts";
import type { UplinkChoice } from "./uplink/choice.ts";
import { systemDevices } from "./uplink/links.ts";
import { OwnVpp } from "./uplink/own-vpp.ts";
import { renderWire } from "./wires/renderer.ts";

export interface VppDataplaneOptions extends LinuxDataplaneOptions {
  readonly takenLinks: TakenLinkRecords;
  /** Where VPP is installed. */
  readonly prefix?: string | undefined;
  /** The API socket of a VPP that somebody else runs; if absent, one is started and kept running. */
  readonly attach?: string | undefined;
  /** The statistics socket of that VPP; `stats.sock` beside its API socket if absent. */
  readonly statsSocket?: string | undefined;
  /** Holds the sockets of the VPP that is started. */
  readonly runtimeDir: string;
  readonly conf: Omit<StartupConf, "apiPrefix" | "runtimeDir">;
  /** The uplink's IPv4 address comes by DHCP. */
  readonly dhcp?: DhcpOptions | undefined;
  /** How VPP has the uplink; by AF_PACKET if absent. */
  readonly uplink?: UplinkChoice | undefined;
  /** What new pods' interfaces are; `auto` if absent. `tap` is not asked of the node: VPP may see a /dev that the agent does not. */
  readonly podInterface?: PodInterfaceChoice | undefined;
  /** Interfaces of pods forward only with what judges their packets. */
  readonly enforcesPolicies?: boolean | undefined;
  /** Services are served: pods reach themselves by them, and clients get to backends elsewhere. */
  readonly servesServices?: boolean | undefined;
  readonly clock: Clock;
  readonly log: Log;
  /** VPP is another one than before: what was configured is gone. */
  readonly onRestart: () => unknown;
}

const NO_CONNECTION = "no connection to VPP";
const AF_PACKET: UplinkChoice = { kind: "af-packet" };
/** How long a VPP that somebody else runs may take to answer when the agent starts. */
const ATTACH_MS = 10_000;

/**
 * FD.io VPP as a dataplane, with the kernel's part of it: veth pairs that it shares, the host's own addresses and ports.
 * VPP outlives this process, and traffic with it.
 */
export class VppDataplane implements Dataplane {
  readonly name = "vpp";
  readonly wires = { renderWire };
  readonly leases: UnderlayLeases | undefined;
  readonly policies: VppPolicies;
  readonly services: VppServices;
  readonly egress: EgressWiring;
  readonly gateways = { ipv4: GATEWAY_IPV4, ipv6: GATEWAY_IPV6 };
  readonly #options: VppDataplaneOptions;
  readonly #linux: LinuxDataplane;
  readonly #client: VppClient;
  readonly #session: VppSession;
  readonly #own: OwnVpp | undefined;
  readonly #statistics: VppStatistics;
  readonly #underlay: VppUnderlay;
  readonly #descriptors: readonly Descriptor<never>[];
  readonly #netnsId: string;
  #scheduler: Scheduler | undefined;
  #local: LocalNodeRow | undefined;
  #checks = 0;
  #pid: number | undefined;

  private constructor(
    options: VppDataplaneOptions,
    parts: {
      readonly linux: LinuxDataplane;
      readonly client: VppClient;
      readonly own: OwnVpp | undefined;
      readonly netnsId: string;
    },
  ) {
    this.#options = options;
    this.#linux = parts.linux;
    this.#client = parts.client;
    this.#own = parts.own;
    this.#netnsId = parts.netnsId;
    this.#session = VppSession.of(parts.client);
    const filter = new FlowFilter(this.#session);
    this.#descriptors = vppDescriptors(this.#session, filter);
    const { attach, statsSocket, runtimeDir, clock } = options;
    const socket =
      attach === undefined ? vppPaths(runtimeDir).stats : (statsSocket ?? join(dirname(attach), "stats.sock"));
    this.#statistics = new VppStatistics({
      ...{ socket, clock, nameOf: (index) => this.#session.nameOf(index) },
      maxConnections: parts.own && cnatOptions(options.conf).maxSessions,
    });
    const { takenLinks, dhcp, log } = options;
    this.#underlay = new VppUnderlay({
      ...{ takenLinks, dhcp, vpp: this.#session, linux: parts.linux, clock, log },
      uplink: options.uplink ?? AF_PACKET,
      takeDevice: async (choice, nodeIPs) => parts.own?.takeDevice(choice, nodeIPs),
    });
    this.leases = this.#underlay.leases();
    const node = { uplinks: () => this.#underlay.uplinks, local: () => this.#local };
    this.policies = new VppPolicies({ vpp: this.#session, filter, clock, node });
    this.services = new VppServices({
      node,
      servesServices: () => this.#isSetUpForServices,
      endStale: async (view) => (await parts.linux.services.endStale?.(view)) ?? 0,
    });
    this.egress = { ...parts.linux.egress, renderEgress: (state) => renderEgress(state, this.#underlay.uplinks) };
    this.#follow();
  }

  /** @throws NoVppError, NoPluginError, StartupConfError, VppExitError, VppStartError, and what LinuxDataplane.open does. */
  static async open(options: VppDataplaneOptions): Promise<VppDataplane> {
    const { attach, clock, log, runtimeDir, takenLinks, uplink = AF_PACKET } = options;
    const { binary, apiDirectory } = findVppInstallation(options.prefix);
    const paths = vppPaths(runtimeDir);
    const onError = (err: Error, what: string): void => log.warn({ err, what }, "VPP");
    const linux = await LinuxDataplane.open(options);
    const client = VppClient.start({
      socket: attach ?? paths.api,
      apiDirectory,
      backoff: { first: millis(20), max: millis(100) },
      // What happens while VPP starts is told by the supervisor.
      onError: (err, what) => log.debug({ err, what }, "VPP's API"),
      clock,
    });
    const start = async (dpdk: StartupConf["dpdk"]): Promise<VppSupervisor> => {
      const devices = dpdk ? { dpdk } : {};
      const program = keeperProgram();
      const keeper = program === undefined ? undefined : new SocketKeeper({ program, runtimeDir, clock, onError });
      const supervisor = new VppSupervisor({
        program: { command: [binary], env: preloadEnvironment(keeper?.paths.socket) },
        keeper,
        conf: {
          ...options.conf,
          cnat: cnatOptions(options.conf),
          ...devices,
          runtimeDir,
          apiPrefix: `hd${digest(runtimeDir)}`,
        },
        probes: [apiProbe(client), cliProbe(paths.cli, clock)],
        clock,
        onError,
      });
      await supervisor.start();
      return supervisor;
    };
    const interfaces = async () =>
      (await client.dump("sw_interface_dump", { name_filter_valid: false })).map((d) => d.interface_name);
    const giveBack = () => retreat({ runtimeDir, takenLinks, clock });
    let own: OwnVpp | undefined;
    try {
      if (attach === undefined) {
        own = await OwnVpp.start({ start, uplink, takenLinks, devices: systemDevices, interfaces, giveBack });
      }
      await ready(client, attach);
      checkRunning(uplink, client.state);
      const netnsId = (await linux.netnsIdentity(OWN_NETNS)) ?? "";
      if (options.servesServices) log.info({ limits: SERVICE_LIMITS }, "services on VPP");
      return new VppDataplane(options, { linux, client, own, netnsId });
    } catch (e) {
      // What it forwards is worth more than its successor, which would lack the plugin as well.
      await own?.close({ keep: e instanceof NoPluginError && takenLinks.all().size > 0 });
      await client.close();
      await linux.close();
      throw e;
    }
  }

  /** Another process ID is another VPP; so is the same one behind a connection that was made anew, for all one can tell. */
  #follow(): void {
    this.#pid = this.#client.state.s === "ready" ? this.#client.state.info.pid : undefined;
    let isAway = false;
    this.#client.onState((state) => {
      if (state.s === "ready") {
        isAway = false;
        this.#options.log.info({ was: this.#pid, pid: state.info.pid }, "connected to VPP again");
        this.#pid = state.info.pid;
        this.#options.onRestart();
      } else if (state.s === "waiting") {
        this.#statistics.renew();
        // Ten tries a second may fail, for one reason.
        this.#options.log[isAway ? "debug" : "warn"]({ err: state.error }, "no connection to VPP");
        isAway = true;
      }
    });
  }

  register(scheduler: Scheduler): void {
    this.#scheduler = scheduler;
    this.#linux.register(scheduler);
    for (const descriptor of this.#descriptors) scheduler.register(descriptor);
  }

  underlay(nodeIPs: readonly IpAddress[] | undefined): Promise<Underlay> {
    return this.#underlay.find(nodeIPs);
  }

  get problem(): string | undefined {
    return this.#client.state.s === "ready" ? undefined : NO_CONNECTION;
  }

  /** When links were taken by an earlier VPP, and this one does not forward there yet. */
  async isCutOff(): Promise<boolean> {
    const missing = new Set([...this.#options.takenLinks.all().keys()].map(uplinkInterface));
    if (missing.size === 0) return false;
    for (const { tag, flags } of await this.#client.dump("sw_interface_dump", { name_filter_valid: false })) {
      if ((flags & IfStatusFlags.IF_STATUS_API_FLAG_ADMIN_UP) !== 0) missing.delete(parseInterfaceTag(tag)?.name ?? "");
    }
    return missing.size > 0;
  }

  render(row: PodRow) {
    const requires = this.#options.enforcesPolicies ? this.policies.podPolicyKeys(row.hostIf) : [];
    const inside = this.#local?.clusterCIDRs ?? [];
    return renderPod(row, { requires, servesServices: this.#isSetUpForServices, inside });
  }

  linkKind(pod: Pick<PodRow, "bandwidth" | "netns">) {
    return podLinkKind(this.#options.podInterface ?? "auto", existsSync(VHOST_NET), pod);
  }

  refusesFurther(kind: FurtherKind): string | undefined {
    return refusesFurther(kind, this.#options.podInterface === "tap" || existsSync(VHOST_NET));
  }

  renderLocal(row: LocalNodeRow) {
    this.#local = row;
    const { uplinks } = this.#underlay;
    return renderLocalNode(row, { uplinks, netnsId: this.#netnsId, servesServices: this.#isSetUpForServices });
  }

  renderPeer(peer: PeerRow, local: LocalNodeRow) {
    return renderPeer(peer, local);
  }

  get #isSetUpForServices(): boolean {
    return (
      this.#options.servesServices === true && this.#local !== undefined && sourceTranslation(this.#local) !== undefined
    );
  }

  async check(row: PodRow, now?: PodEndNow, also: readonly KeyValue[] = []): Promise<readonly string[]> {
    const scheduler = this.#scheduler;
    if (!scheduler) throw new Error("the dataplane has no scheduler yet");
    const rendered = now ? asChanged(this.render(row), now, row.hostIf) : this.render(row);
    const items = new Map([...rendered, ...also].map(({ key, value }) => [key, value]));
    const descriptors = [...this.#linux.descriptors, ...this.#descriptors];
    return checkItems(items, descriptors, (key) => scheduler.metadata(key), --this.#checks);
  }

  netnsIdentity(path: string): Promise<string | undefined> {
    return this.#linux.netnsIdentity(path);
  }

  async warnings(): Promise<readonly string[]> {
    const { state } = this.#client;
    const connection = state.s === "ready" ? featureWarnings(state.info.differences) : [NO_CONNECTION];
    const isProtected = this.#own !== undefined && "LD_PRELOAD" in preloadEnvironment();
    return [
      ...connection,
      ...(isProtected
        ? []
        : [`VPP 26.06 hangs when more than ${MOST_READABLE} pods send at once; one that the agent starts does not`]),
      ...(state.s === "ready" ? await this.#statistics.warnings() : []),
      ...(this.#underlay.lease?.warnings ?? []),
      ...this.policies.warnings,
      ...(await this.#linux.warnings()),
    ];
  }

  async metrics(owners: ReadonlyMap<string, InterfaceOwner>): Promise<readonly MetricFamily[]> {
    const { lease } = this.#underlay;
    const families = await this.#statistics.families(owners);
    return lease ? [...families, lease.metrics()] : families;
  }

  status(): Readonly<Record<string, unknown>> {
    const { state } = this.#client;
    return {
      vppPid: this.#pid,
      connection: state.s,
      supervised: this.#own !== undefined,
      uplinks: this.#underlay.uplinks.map(({ link, addresses }) => ({ link, addresses })),
      ...(this.#options.servesServices ? { serviceLimits: SERVICE_LIMITS } : {}),
      ...this.#underlay.lease?.status(),
    };
  }

  /** VPP goes on. */
  async close(): Promise<void> {
    await this.#own?.close({ keep: true });
    this.#session[Symbol.dispose]();
    this.#statistics[Symbol.dispose]();
    await this.#client.close();
    await this.#linux.close();
  }

  /** Ends VPP, too, if it was started by an agent. */
  async stop(): Promise<void> {
    if (!this.#own) return;
    await this.#own.close();
    // A device can be given back only now.
    const { runtimeDir, takenLinks, clock } = this.#options;
    await retreat({ runtimeDir, takenLinks, clock });
  }
}

const digest = (text: string): string => createHash("sha256").update(text).digest("hex").slice(0, 12);

async function ready(client: VppClient, attach: string | undefined): Promise<void> {
  try {
    await client.ready(AbortSignal.timeout(ATTACH_MS));
  } catch (cause) {
    throw new NoVppError("NO_VPP", `VPP does not answer at ${attach ?? "the socket it was started with"}`, { cause });
  }
}

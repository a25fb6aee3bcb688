import { seconds, systemClock } from "../../base/clock/clock.ts";
import { errnoOf } from "../../base/errors/errors.ts";
import { Lately } from "../../base/memo/lately.ts";
import type { EgressWiring } from "../../egress/api.ts";
import type { Descriptor, KeyValue } from "../../kvscheduler/api/descriptor.ts";
import type { Scheduler } from "../../kvscheduler/api/scheduler.ts";
import { GATEWAY_IPV4, GATEWAY_IPV6, type TakenLinkValue } from "../../models/linux.ts";
import type { LocalNodeRow, NodeWiring } from "../../nodes/api.ts";
import type { FurtherKind, PodEndNow, PodRow } from "../../pods/api.ts";
import type { PolicyWiring } from "../../policy/api.ts";
import { CLIENTS, type ServiceWiring } from "../../services/api.ts";
import type { Dataplane, MetricFamily, Underlay } from "../api.ts";
import { FlowFlusher } from "./conntrack/flusher.ts";
import { EgressFlows } from "./egress/flows.ts";
import { podEgressKeys, renderEgress } from "./egress/renderer.ts";
import { addressDescriptor } from "./l3/address.ts";
import { fdbDescriptor } from "./l3/fdb.ts";
import { neighbourDescriptor } from "./l3/neighbour.ts";
import { routeDescriptor } from "./l3/route.ts";
import { ruleDescriptor } from "./l3/rule.ts";
import { kernelLegacyTables, legacyRules } from "./legacy-tables.ts";
import { carrierDescriptor } from "./link/carrier.ts";
import { followDepartures } from "./link/departures.ts";
import { linkDescriptor } from "./link/descriptor.ts";
import { LinkReaper } from "./link/reaper.ts";
import { Ends } from "./namespace/ends.ts";
import { NamespaceReader } from "./namespace/namespace-reader.ts";
import { Namespaces } from "./namespace/namespaces.ts";
import { Snapshots } from "./namespace/snapshots.ts";
import { RtNetlink } from "./netlink/client.ts";
import { NetlinkProtocol } from "./netlink/native.ts";
import { netnsIdentity } from "./netlink/netns.ts";
import { RouteTable, RouteType } from "./netlink/route.ts";
import { readChains } from "./nftables/chain-reader.ts";
import { nftDescriptors } from "./nftables/descriptors.ts";
import { DirectNft } from "./nftables/direct/direct.ts";
import { type Nft, NftProgram } from "./nftables/nft.ts";
import { renderLocalNode, renderPeer } from "./nodes/renderer.ts";
import { asChanged, checkItems } from "./pods/check.ts";
import { renderPod } from "./pods/renderer.ts";
import { type DeniedPackets, policyBase } from "./policy/base.ts";
import { readCounts } from "./policy/counters.ts";
import { DeniedPacketLog } from "./policy/denied-packets.ts";
import { FlowJudge } from "./policy/rejudge.ts";
import { podPolicyKeys, renderPolicies, renderPolicyChanges } from "./policy/renderer.ts";
import { serviceBase } from "./services/base.ts";
import { hostPortItems, redirectedFlows } from "./services/host-ports.ts";
import { renderServiceChanges, renderServices } from "./services/renderer.ts";
import { StaleFlows } from "./services/stale-flows.ts";
import { redirectDescriptor } from "./shaping/redirect.ts";
import { shaperDescriptor } from "./shaping/shaper.ts";
import { type SysctlOriginals, sysctlDescriptor } from "./sysctl/descriptor.ts";
import { nativeSysctls } from "./sysctl/native-sysctls.ts";
import { type TakenLinkRecords, takenLinkDescriptor } from "./taken-link/descriptor.ts";
import { type FoundLink, fillLink, findLink } from "./taken-link/found.ts";
import { findUnderlay } from "./underlay/underlay.ts";
import { foreignRules } from "./warnings.ts";

/** Each may hold a thread of libuv's pool for as long as the kernel takes to remove a link. */
const REAPERS = 3;

/** Holds the addresses of services in kube-proxy's IPVS mode, and is left behind when it ends. */
const IPVS_LINK = "kube-ipvs0";

/** What status waits for nft at most. */
const STATUS_PATIENCE = seconds(2);
const NFT_BUSY = "nftables: what others have put there is not known yet; nft has not answered so far";

export interface LinuxDataplaneOptions {
  readonly sysctlOriginals: SysctlOriginals;
  readonly takenLinks: TakenLinkRecords;
  /** Which denied packets the dataplane tells of; none if absent. */
  readonly deniedPackets?: DeniedPackets | undefined;
}

/** The kernel as a dataplane: veth, routes, VXLAN, nftables, in the network namespace of this process. */
export class LinuxDataplane implements Dataplane {
  readonly name = "linux";
  readonly gateways = { ipv4: GATEWAY_IPV4, ipv6: GATEWAY_IPV6 };
  /** The kernel is always there. */
  readonly problem = undefined;
  readonly policies: PolicyWiring;
  readonly services: ServiceWiring;
  readonly egress: EgressWiring;
  readonly nft: Nft;
  readonly #node: RtNetlink;
  readonly #reaperSockets: readonly RtNetlink[];
  readonly #ends: Ends;
  readonly #flows: FlowFlusher;
  readonly #flowJudge: FlowJudge;
  readonly #staleFlows: StaleFlows;
  readonly #egressFlows: EgressFlows;
  readonly #directNft = new DirectNft();
  readonly #denied: DeniedPacketLog | undefined;
  /** For reading counters and chains; opened when somebody asks. */
  #netfilter: RtNetlink | undefined;
  readonly #descriptors: readonly Descriptor<never>[];
  #scheduler: Scheduler | undefined;
  #checks = 0;
  /** `nft` reads all chains for it: thousands with as many services, while others of them change. */
  readonly #foreignRules = new Lately({
    read: () => foreignRules(this.nft),
    clock: systemClock,
    patience: STATUS_PATIENCE,
  });

  private constructor(
    node: RtNetlink,
    reaperSockets: readonly RtNetlink[],
    options: LinuxDataplaneOptions,
    denied: DeniedPacketLog | undefined,
  ) {
    this.#node = node;
    this.#reaperSockets = reaperSockets;
    this.#denied = denied;
    this.nft = new NftProgram();
    const namespaces = new Namespaces(node, (netns) => RtNetlink.open({ netns }));
    this.#ends = new Ends(namespaces, new Snapshots(new NamespaceReader()));
    const openNetfilter = () => RtNetlink.open({ protocol: NetlinkProtocol.NETFILTER });
    const netfilter = async () => (this.#netfilter ??= await openNetfilter());
    const localPrefixes = async (family: number) => {
      const local = await node.routes({ family, table: RouteTable.LOCAL, type: RouteType.LOCAL });
      return local.map((route) => route.dst);
    };
    this.#flows = new FlowFlusher(openNetfilter, localPrefixes);
    this.#flowJudge = new FlowJudge(openNetfilter, localPrefixes);
    this.policies = {
      policyBase: () => policyBase(denied?.told),
      renderPolicies,
      renderPolicyChanges,
      podPolicyKeys,
      rejudge: (...asked) => this.#flowJudge.rejudge(...asked),
      counts: async (tables) => readCounts(await netfilter(), tables),
      followDenied: (listener) => denied?.follow(listener),
    };
    this.#staleFlows = new StaleFlows(openNetfilter);
    this.services = {
      serviceBase: () => serviceBase(CLIENTS),
      renderServices: (rows) => renderServices(rows, CLIENTS),
      renderServiceChanges: (changes, view) => renderServiceChanges(changes, view, CLIENTS),
      renderHostPorts: (frontends) => frontends.flatMap((frontend) => [...hostPortItems(frontend)]),
      endStale: (view) => this.#staleFlows.end(view),
    };
    this.#egressFlows = new EgressFlows(openNetfilter);
    this.egress = {
      renderEgress,
      podEgressKeys,
      endFlows: (...asked) => this.#egressFlows.end(...asked),
    };
    this.#descriptors = [
      linkDescriptor(this.#ends, new LinkReaper(reaperSockets, followDepartures)),
      carrierDescriptor(this.#ends),
      addressDescriptor(this.#ends),
      routeDescriptor(this.#ends),
      ruleDescriptor(this.#ends),
      neighbourDescriptor(this.#ends),
      fdbDescriptor(this.#ends),
      shaperDescriptor(this.#ends),
      redirectDescriptor(this.#ends),
      sysctlDescriptor(nativeSysctls, options.sysctlOriginals),
      takenLinkDescriptor(this.#ends, options.takenLinks),
      ...nftDescriptors(
        this.nft,
        (ops) => this.#flows.flush([...redirectedFlows(ops)]),
        this.#directNft,
        async () => readChains(await netfilter()),
      ),
    ] as unknown as readonly Descriptor<never>[];
  }

  /** @throws NativeAddonError, NetlinkSocketError (EPERM without root), NftError NO_NFT. */
  static async open(options: LinuxDataplaneOptions): Promise<LinuxDataplane> {
    // Removals have sockets of their own: nothing else should wait behind their 15 ms, nor each behind the one before.
    const reapers = Array.from({ length: REAPERS }, () => RtNetlink.open());
    const [node, ...rest] = await Promise.all([RtNetlink.open(), ...reapers]);
    const denied = options.deniedPackets && (await DeniedPacketLog.open(options.deniedPackets));
    return new LinuxDataplane(node, rest, options, denied);
  }

  register(scheduler: Scheduler): void {
    this.#scheduler = scheduler;
    for (const descriptor of this.#descriptors) scheduler.register(descriptor);
  }

  /** Those of everything in the kernel, for a dataplane that shares it. */
  get descriptors(): readonly Descriptor<never>[] {
    return this.#descriptors;
  }

  /** What the kernel has of a link; undefined where there is none. */
  findLink(name: string): Promise<FoundLink | undefined> {
    return findLink(this.#node, name);
  }

  /** Gives a link these addresses and routes, beside those that it has. */
  async fillLink(value: TakenLinkValue): Promise<void> {
    const found = await findLink(this.#node, value.link);
    if (found) await fillLink(this.#node, found.index, value);
  }

  underlay(nodeIPs: Parameters<typeof findUnderlay>[1]): Promise<Underlay> {
    return findUnderlay(this.#node, nodeIPs);
  }

  /** The node's links are the kernel's. */
  isCutOff(): Promise<boolean> {
    return Promise.resolve(false);
  }

  render(row: PodRow) {
    return renderPod(row);
  }

  linkKind() {
    return "veth" as const;
  }

  refusesFurther(kind: FurtherKind): string {
    return `${kind} interfaces by annotation need the VPP dataplane; this node runs the linux one`;
  }

  renderLocal(row: LocalNodeRow) {
    return renderLocalNode(row);
  }

  renderPeer(...args: Parameters<NodeWiring["renderPeer"]>) {
    return renderPeer(...args);
  }

  async check(row: PodRow, now?: PodEndNow, also: readonly KeyValue[] = []): Promise<readonly string[]> {
    const scheduler = this.#scheduler;
    if (!scheduler) throw new Error("the dataplane has no scheduler yet");
    const rendered = now ? asChanged(renderPod(row), now, row.hostIf) : renderPod(row);
    const items = new Map([...rendered, ...also].map(({ key, value }) => [key, value]));
    // A number of its own makes the descriptors read the namespaces anew.
    return checkItems(items, this.#descriptors, (key) => scheduler.metadata(key), --this.#checks);
  }

  async netnsIdentity(path: string): Promise<string | undefined> {
    try {
      return await netnsIdentity(path);
    } catch (e) {
      if (errnoOf(e) === "ENOENT") return undefined;
      throw e;
    }
  }

  /** What others do on this node that harms pods, and what could not be done for them. */
  async warnings(): Promise<readonly string[]> {
    const problems = [this.#flows.problem, this.#egressFlows.problem, this.#denied?.problem].filter(
      (p) => p !== undefined,
    );
    const [rules = [NFT_BUSY], legacy, links] = await Promise.all([
      this.#foreignRules.get(),
      legacyRules(kernelLegacyTables),
      this.#node.links(),
    ]);
    const ipvs = links.some((link) => link.name === IPVS_LINK)
      ? [`a kube-proxy in IPVS mode has made the link ${IPVS_LINK}; it translates services beside Heddle`]
      : [];
    return [...rules, ...legacy, ...ipvs, ...problems];
  }

  status(): Readonly<Record<string, unknown>> {
    return {};
  }

  /** The kernel counts by itself; whoever wants to know asks it. */
  metrics(): Promise<readonly MetricFamily[]> {
    return Promise.resolve([]);
  }

  /** The kernel does not stop. */
  async stop(): Promise<void> {}

  async close(): Promise<void> {
    this.#denied?.close();
    await this.#netfilter?.close();
    await Promise.all(
      [
        ...[this.#node, ...this.#reaperSockets, this.#directNft],
        ...[this.#flows, this.#flowJudge, this.#staleFlows, this.#egressFlows],
      ].map((socket) => socket.close()),
    );
  }
}

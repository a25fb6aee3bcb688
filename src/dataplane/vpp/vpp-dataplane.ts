import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { type Clock, millis } from "../../base/clock/clock.ts";
import { type IpAddress, parseIp } from "../../base/ip/address.ts";
import { formatCidr, networkOf, parseCidr } from "../../base/ip/cidr.ts";
import type { Log } from "../../infra/log/log.ts";
import type { Descriptor } from "../../kvscheduler/api/descriptor.ts";
import type { Scheduler } from "../../kvscheduler/api/scheduler.ts";
import { GATEWAY_IPV4, GATEWAY_IPV6 } from "../../models/linux.ts";
import type { LocalNodeRow, PeerRow } from "../../nodes/api.ts";
import type { FurtherKind, PodEndNow, PodRow } from "../../pods/api.ts";
import type { Dataplane, InterfaceOwner, MetricFamily, Underlay } from "../api.ts";
import { LinuxDataplane, type LinuxDataplaneOptions } from "../linux/linux-dataplane.ts";
import { asChanged, checkItems } from "../linux/pods/check.ts";
import type { TakenLinkRecords } from "../linux/taken-link/descriptor.ts";
import type { TakenUplink } from "./api.ts";
import { IfStatusFlags, VppClient } from "./binapi/index.ts";
import { vppDescriptors } from "./descriptors.ts";
import { featureWarnings } from "./features.ts";
import { findVppInstallation, NoVppError } from "./installation.ts";
import { parseInterfaceTag } from "./interface/tag.ts";
import { uplinkInterface } from "./names.ts";
import { renderLocalNode, renderPeer } from "./nodes/renderer.ts";
import { refusesFurther, VHOST_NET } from "./pods/further.ts";
import { renderPod } from "./pods/renderer.ts";
import { VppSession } from "./session/session.ts";
import { VppStatistics } from "./stats/statistics.ts";
import { apiProbe, cliProbe } from "./supervisor/probes.ts";
import { type StartupConf, vppPaths } from "./supervisor/startup-conf.ts";
import { VppSupervisor } from "./supervisor/supervisor.ts";
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
  readonly clock: Clock;
  readonly log: Log;
  /** VPP is another one than before: what was configured is gone. */
  readonly onRestart: () => unknown;
}

const NO_CONNECTION = "no connection to VPP";
/** How long a VPP that somebody else runs may take to answer when the agent starts. */
const ATTACH_MS = 10_000;

/**
 * FD.io VPP as a dataplane, with the kernel's part of it: veth pairs that it shares, the host's own addresses and ports.
 * VPP outlives this process, and traffic with it.
 */
export class VppDataplane implements Dataplane {
  readonly name = "vpp";
  readonly wires = { renderWire };
  readonly gateways = { ipv4: GATEWAY_IPV4, ipv6: GATEWAY_IPV6 };
  readonly #options: VppDataplaneOptions;
  readonly #linux: LinuxDataplane;
  readonly #client: VppClient;
  readonly #session: VppSession;
  readonly #supervisor: VppSupervisor | undefined;
  readonly #statistics: VppStatistics;
  readonly #descriptors: readonly Descriptor<never>[];
  readonly #netnsId: string;
  #scheduler: Scheduler | undefined;
  #uplinks: readonly TakenUplink[] = [];
  #checks = 0;
  #pid: number | undefined;

  private constructor(
    options: VppDataplaneOptions,
    parts: {
      readonly linux: LinuxDataplane;
      readonly client: VppClient;
      readonly supervisor: VppSupervisor | undefined;
      readonly netnsId: string;
    },
  ) {
    this.#options = options;
    this.#linux = parts.linux;
    this.#client = parts.client;
    this.#supervisor = parts.supervisor;
    this.#netnsId = parts.netnsId;
    this.#session = VppSession.of(parts.client);
    this.#descriptors = vppDescriptors(this.#session);
    const { attach, statsSocket, runtimeDir, clock } = options;
    const socket =
      attach === undefined ? vppPaths(runtimeDir).stats : (statsSocket ?? join(dirname(attach), "stats.sock"));
    this.#statistics = new VppStatistics({ socket, clock, nameOf: (index) => this.#session.nameOf(index) });
    this.#follow();
  }

  /** @throws NoVppError, StartupConfError, VppExitError, VppStartError, and what LinuxDataplane.open does. */
  static async open(options: VppDataplaneOptions): Promise<VppDataplane> {
    const { attach, clock, log, runtimeDir } = options;
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
    let supervisor: VppSupervisor | undefined;
    try {
      if (attach === undefined) {
        supervisor = new VppSupervisor({
          program: { command: [binary] },
          conf: { ...options.conf, runtimeDir, apiPrefix: `hd${digest(runtimeDir)}` },
          probes: [apiProbe(client), cliProbe(paths.cli, clock)],
          clock,
          onError,
        });
        await supervisor.start();
      }
      await ready(client, attach);
      const netnsId = (await linux.netnsIdentity("/proc/self/ns/net")) ?? "";
      return new VppDataplane(options, { linux, client, supervisor, netnsId });
    } catch (e) {
      await supervisor?.close();
      await client.close();
      await linux.close();
      throw e;
    }
  }

  /** Another process ID is another VPP; so is the same one behind a connection that was made anew, for all one can tell. */
  #follow(): void {
    this.#pid = this.#client.state.s === "ready" ? this.#client.state.info.pid : undefined;
    this.#client.onState((state) => {
      if (state.s === "ready") {
        this.#options.log.info({ was: this.#pid, pid: state.info.pid }, "connected to VPP again");
        this.#pid = state.info.pid;
        this.#options.onRestart();
      } else if (state.s === "waiting") {
        this.#statistics.renew();
        this.#options.log.warn({ err: state.error }, "no connection to VPP");
      }
    });
  }

  register(scheduler: Scheduler): void {
    this.#scheduler = scheduler;
    this.#linux.register(scheduler);
    for (const descriptor of this.#descriptors) scheduler.register(descriptor);
  }

  /**
   * Notes what the links have before anything of it is taken, durably: after a crash nobody else knows. Once noted, that is
   * the truth, whatever the kernel has by now.
   */
  async underlay(nodeIPs: readonly IpAddress[] | undefined): Promise<Underlay> {
    const { takenLinks } = this.#options;
    if (takenLinks.all().size === 0) {
      const found = await this.#linux.underlay(nodeIPs);
      for (const link of new Set(found.uplinks.map((uplink) => uplink.link))) {
        const state = await this.#linux.findLink(link);
        if (state) {
          const { addresses, routes, gro } = state;
          await takenLinks.set(link, { link, addresses, routes, gro, requires: [] });
        }
      }
    }
    const uplinks: TakenUplink[] = [];
    for (const { link, addresses, routes, gro } of takenLinks.all().values()) {
      const state = await this.#linux.findLink(link);
      if (!state) throw new NoVppError("NO_VPP", `the uplink ${link} is gone`);
      const networks = [...new Set(addresses.map((text) => formatCidr(networkOf(parseCidr(text)))))];
      uplinks.push({ link, mac: state.mac, mtu: state.mtu, addresses, networks, routes, gro });
    }
    this.#uplinks = uplinks;
    return { uplinks: [4, 6].flatMap((family) => uplinkOf(uplinks, family, nodeIPs)), raLinks: [] };
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
    const nodeIps = this.#uplinks.flatMap((uplink) => uplink.addresses.map(plain));
    return renderPod(row, { nodeIps });
  }

  refusesFurther(kind: FurtherKind): string | undefined {
    return refusesFurther(kind, existsSync(VHOST_NET));
  }

  renderLocal(row: LocalNodeRow) {
    return renderLocalNode(row, { uplinks: this.#uplinks, netnsId: this.#netnsId });
  }

  renderPeer(peer: PeerRow, local: LocalNodeRow) {
    return renderPeer(peer, local);
  }

  async check(row: PodRow, now?: PodEndNow): Promise<readonly string[]> {
    const scheduler = this.#scheduler;
    if (!scheduler) throw new Error("the dataplane has no scheduler yet");
    const rendered = now ? asChanged(this.render(row), now, row.hostIf) : this.render(row);
    const items = new Map([...rendered].map(({ key, value }) => [key, value]));
    const descriptors = [...this.#linux.descriptors, ...this.#descriptors];
    return checkItems(items, descriptors, (key) => scheduler.metadata(key), --this.#checks);
  }

  netnsIdentity(path: string): Promise<string | undefined> {
    return this.#linux.netnsIdentity(path);
  }

  async warnings(): Promise<readonly string[]> {
    const { state } = this.#client;
    const connection = state.s === "ready" ? featureWarnings(state.info.differences) : [NO_CONNECTION];
    const uncounted = state.s === "ready" ? await this.#statistics.problem() : undefined;
    return [
      ...connection,
      ...(uncounted === undefined ? [] : [`no metrics of VPP: ${uncounted}`]),
      ...(await this.#linux.warnings()),
    ];
  }

  metrics(owners: ReadonlyMap<string, InterfaceOwner>): Promise<readonly MetricFamily[]> {
    return this.#statistics.families(owners);
  }

  status(): Readonly<Record<string, unknown>> {
    const { state } = this.#client;
    return {
      vppPid: this.#pid,
      connection: state.s,
      supervised: this.#supervisor !== undefined,
      uplinks: this.#uplinks.map(({ link, addresses }) => ({ link, addresses })),
    };
  }

  /** VPP goes on. */
  async close(): Promise<void> {
    await this.#supervisor?.close({ keep: true });
    this.#session[Symbol.dispose]();
    this.#statistics[Symbol.dispose]();
    await this.#client.close();
    await this.#linux.close();
  }

  /** Ends VPP, too, if it was started by an agent. */
  async stop(): Promise<void> {
    await this.#supervisor?.close();
  }
}

const digest = (text: string): string => createHash("sha256").update(text).digest("hex").slice(0, 12);
const plain = (cidr: string): string => cidr.slice(0, cidr.indexOf("/"));

async function ready(client: VppClient, attach: string | undefined): Promise<void> {
  try {
    await client.ready(AbortSignal.timeout(ATTACH_MS));
  } catch (cause) {
    throw new NoVppError("NO_VPP", `VPP does not answer at ${attach ?? "the socket it was started with"}`, { cause });
  }
}

function uplinkOf(uplinks: readonly TakenUplink[], family: number, nodeIPs: readonly IpAddress[] | undefined) {
  for (const { link, mtu, addresses } of uplinks) {
    for (const address of addresses.map((cidr) => parseIp(plain(cidr)))) {
      if (address.includes(":") !== (family === 6)) continue;
      if (nodeIPs === undefined || nodeIPs.includes(address)) return [{ link, address, mtu }];
    }
  }
  return [];
}

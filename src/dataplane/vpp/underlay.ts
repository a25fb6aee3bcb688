import type { Clock } from "../../base/clock/clock.ts";
import { type IpAddress, parseIp } from "../../base/ip/address.ts";
import { formatCidr, networkOf, parseCidr } from "../../base/ip/cidr.ts";
import type { Log } from "../../infra/log/log.ts";
import type { Scheduler } from "../../kvscheduler/api/scheduler.ts";
import type { Underlay, UnderlayLeases } from "../api.ts";
import type { LinuxDataplane } from "../linux/linux-dataplane.ts";
import type { TakenLinkRecords } from "../linux/taken-link/descriptor.ts";
import type { TakenUplink } from "./api.ts";
import { dhcpClientDescriptor } from "./dhcp/client.ts";
import { type DhcpOptions, leasableLinks, UplinkLease } from "./dhcp/uplink-lease.ts";
import { NoVppError } from "./installation.ts";
import { interfaceDescriptor } from "./interface/descriptor.ts";
import { interfaceUpDescriptor } from "./interface/up.ts";
import type { VppSession } from "./session/session.ts";
import type { DpdkChoice, UplinkChoice } from "./uplink/choice.ts";
import { checkAddresses } from "./uplink/device.ts";
import { UplinkError } from "./uplink/errors.ts";

export interface VppUnderlayOptions {
  readonly takenLinks: TakenLinkRecords;
  /** The uplink's IPv4 address comes by DHCP. */
  readonly dhcp?: DhcpOptions | undefined;
  readonly uplink: UplinkChoice;
  /** Has VPP take a device from the kernel, and records what that had. */
  readonly takeDevice: (choice: DpdkChoice, nodeIPs: readonly IpAddress[] | undefined) => Promise<void>;
  readonly vpp: VppSession;
  readonly linux: LinuxDataplane;
  readonly clock: Clock;
  readonly log: Log;
}

/** The links that VPP takes from the kernel, and what the node is reached by on them. */
export class VppUnderlay {
  readonly lease: UplinkLease | undefined;
  readonly #options: VppUnderlayOptions;
  #uplinks: readonly TakenUplink[] = [];

  constructor(options: VppUnderlayOptions) {
    this.#options = options;
    const { dhcp, linux } = options;
    this.lease =
      dhcp &&
      new UplinkLease({
        ...{ ...options, dhcp },
        register: (scheduler) => {
          scheduler.register(interfaceDescriptor(options.vpp));
          scheduler.register(interfaceUpDescriptor(options.vpp));
          scheduler.register(dhcpClientDescriptor(options.vpp));
        },
        findLink: (link) => linux.findLink(link),
        fillLink: (value) => linux.fillLink(value),
      });
  }

  /** As last found. */
  get uplinks(): readonly TakenUplink[] {
    return this.#uplinks;
  }

  /** What the node's addresses come and go by; undefined where they are its own. */
  leases(): UnderlayLeases | undefined {
    const { lease } = this;
    return (
      lease && {
        acquire: (nodeIPs, scheduler, signal) => this.#acquire(lease, nodeIPs, scheduler, signal),
        follow: (onMoved, signal) => lease.follow(onMoved, signal),
      }
    );
  }

  /**
   * Notes what the links have before anything of it is taken, durably: after a crash nobody else knows. Once noted, that is
   * the truth, whatever the kernel has by now.
   */
  async find(nodeIPs: readonly IpAddress[] | undefined): Promise<Underlay> {
    const { takenLinks, linux, dhcp, uplink: by } = this.#options;
    if (takenLinks.all().size === 0) await this.#take(nodeIPs);
    const uplinks: TakenUplink[] = [];
    for (const { link, addresses, routes, gro, device, dhcp: leased } of takenLinks.all().values()) {
      const state = device ?? (await linux.findLink(link));
      if (!state) throw new NoVppError("NO_VPP", `the uplink ${link} is gone`);
      const networks = [...new Set(addresses.map((text) => formatCidr(networkOf(parseCidr(text)))))];
      const taken = { link, mac: state.mac, mtu: state.mtu, addresses, networks, routes, gro, by };
      uplinks.push(dhcp && leased ? { ...taken, dhcp, former: this.lease?.former } : taken);
    }
    this.#uplinks = uplinks;
    // An address by DHCP is nobody's to choose.
    const ipv4 = uplinkOf(uplinks, 4, dhcp ? undefined : nodeIPs);
    return { uplinks: [...ipv4, ...uplinkOf(uplinks, 6, nodeIPs)], raLinks: [] };
  }

  async #take(nodeIPs: readonly IpAddress[] | undefined): Promise<void> {
    const { linux, uplink, takeDevice } = this.#options;
    if (uplink.kind === "dpdk") return takeDevice(uplink, nodeIPs);
    if (uplink.kind === "af-xdp" && uplink.link !== undefined) {
      const state = await linux.findLink(uplink.link);
      if (!state) throw new UplinkError(`vpp.uplink.link: this node has no link ${uplink.link}`);
      checkAddresses(`vpp.uplink.link: ${uplink.link}`, state.addresses, nodeIPs);
      return this.#record([uplink.link]);
    }
    const found = await linux.underlay(nodeIPs);
    await this.#record(found.uplinks.map(({ link }) => link));
  }

  async #record(links: Iterable<string>): Promise<void> {
    for (const link of new Set(links)) {
      const state = await this.#options.linux.findLink(link);
      if (!state) continue;
      const { addresses, routes, gro } = state;
      await this.#options.takenLinks.set(link, { link, addresses, routes, gro, requires: [] });
    }
  }

  async #acquire(
    lease: UplinkLease,
    nodeIPs: readonly IpAddress[] | undefined,
    scheduler: Scheduler,
    signal: AbortSignal,
  ): Promise<void> {
    if (lease.taken) return lease.refresh(signal);
    const { takenLinks, linux, dhcp } = this.#options;
    const before = [...takenLinks.all().keys()];
    const found = before.length > 0 ? before : await leasableLinks(linux, nodeIPs, dhcp?.link);
    const link = dhcp?.link ?? found[0] ?? "";
    // Its record comes last: it says that all are there.
    if (before.length === 0) await this.#record(found.filter((name) => name !== link));
    await lease.acquire(link, scheduler, signal);
  }
}

function uplinkOf(uplinks: readonly TakenUplink[], family: number, nodeIPs: readonly IpAddress[] | undefined) {
  for (const { link, mtu, addresses } of uplinks) {
    for (const address of addresses.map((cidr) => parseIp(cidr.slice(0, cidr.indexOf("/"))))) {
      if (address.includes(":") !== (family === 6)) continue;
      if (nodeIPs === undefined || nodeIPs.includes(address)) return [{ link, address, mtu }];
    }
  }
  return [];
}

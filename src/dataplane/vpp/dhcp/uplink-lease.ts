import { type Clock, type Duration, millis, seconds, sleep } from "../../../base/clock/clock.ts";
import { HeddleError } from "../../../base/errors/errors.ts";
import type { IpAddress } from "../../../base/ip/address.ts";
import type { Log } from "../../../infra/log/log.ts";
import type { Scheduler } from "../../../kvscheduler/api/scheduler.ts";
import type { TakenLinkValue } from "../../../models/linux.ts";
import type { MetricFamily } from "../../api.ts";
import type { LinuxDataplane } from "../../linux/linux-dataplane.ts";
import type { TakenLinkRecords } from "../../linux/taken-link/descriptor.ts";
import type { FoundLink } from "../../linux/taken-link/found.ts";
import { UnderlayError } from "../../linux/underlay/underlay.ts";
import type { TakenUplink } from "../api.ts";
import type { VppApi } from "../binapi/index.ts";
import { parseInterfaceTag } from "../interface/tag.ts";
import { isIpv6 } from "../item.ts";
import { uplinkInterface } from "../names.ts";
import { leasingItems } from "../nodes/uplink.ts";
import type { VppNames } from "../target.ts";
import { isElsewhere, leaseAlone, leaseOf, withLease } from "./lease-record.ts";
import { type DhcpLease, readDhcpLeases, watchDhcpLeases } from "./leases.ts";

/** No DHCP server has given the uplink an address in time. The message names link, time and what to look at. */
export class NoLeaseError extends HeddleError<"NO_LEASE"> {}

export interface DhcpOptions {
  /** Told to the server. */
  readonly hostname: string;
  /** The link whose IPv4 address comes by DHCP; that of the default route if absent. */
  readonly link?: string | undefined;
  /** How long the first lease may take. */
  readonly wait: Duration;
}

export interface UplinkLeaseParts {
  readonly dhcp: DhcpOptions;
  readonly vpp: VppNames;
  readonly takenLinks: TakenLinkRecords;
  /** Tells a scheduler what makes interfaces and DHCP clients. */
  readonly register: (scheduler: Scheduler) => void;
  readonly findLink: (link: string) => Promise<FoundLink | undefined>;
  /** Gives the kernel addresses and routes of a link, beside what it has. */
  readonly fillLink: (value: TakenLinkValue) => Promise<void>;
  readonly clock: Clock;
  readonly log: Log;
}

const SOURCE = "uplink";
const POLL = millis(100);
const WATCH = seconds(1);
/** How long everything else may take to follow before the former address goes. */
const SETTLES = seconds(3);

/**
 * The uplink's IPv4 address, by VPP's DHCP client. What the last lease said is recorded and stays the node's place until
 * another one comes, whatever becomes of it in the meantime: pods, peers and the store are worse off with no address at all.
 */
export class UplinkLease {
  readonly #parts: UplinkLeaseParts;
  /** What VPP has now, as last read. */
  #lease: DhcpLease | undefined;
  #lostAt: number | undefined;
  #former: string | undefined;
  /** What is still to be done about the last change. */
  #due: ("move" | "leave")[] = [];

  constructor(parts: UplinkLeaseParts) {
    this.#parts = parts;
  }

  /** The address that the host still has while it moves to another one. */
  get former(): string | undefined {
    return this.#former;
  }

  /** The link, with what it had when it was taken and the last lease. */
  get taken(): TakenLinkValue | undefined {
    return [...this.#parts.takenLinks.all().values()].find(({ dhcp }) => dhcp === true);
  }

  /**
   * Asks for the first lease, and waits for it. The kernel goes on with the link as it was; if it has no IPv4 address there
   * it gets the leased one, until VPP forwards for the host: the node's store may have to be asked before.
   * @throws NoLeaseError
   */
  async acquire(link: string, scheduler: Scheduler, signal: AbortSignal): Promise<void> {
    const { dhcp, takenLinks, register, findLink, fillLink, clock, log } = this.#parts;
    const found = await findLink(link);
    if (!found) throw new NoLeaseError("NO_LEASE", `vpp.dhcp: this node has no link ${link}`);
    const { addresses, routes, gro, mac, mtu } = found;
    const had = takenLinks.all().get(link);
    const uplink: TakenUplink = { link, mac, mtu, addresses: [], networks: [], routes: [], gro, dhcp };
    const changes = [...leasingItems(uplink)].map(({ key, value }) => [key, value] as const);
    const description = `DHCP on ${link}`;
    log.info({ link, seconds: dhcp.wait / 1000 }, "waiting for a DHCP lease");
    register(scheduler);
    const { errors } = await scheduler.transact({ source: SOURCE, resync: "full", changes, description });
    for (const [key, err] of errors) {
      throw new NoLeaseError("NO_LEASE", `DHCP on ${link}: ${key} failed: ${err.message}`, { cause: err });
    }
    const by = clock.now() + dhcp.wait;
    while (!(await this.#read(link, signal))) {
      if (clock.now() > by) throw new NoLeaseError("NO_LEASE", noLease(link, dhcp.wait));
      await sleep(clock, POLL, signal);
    }
    const lease = this.#lease as DhcpLease;
    const record = withLease(had ?? { link, addresses, routes, gro, requires: [] }, lease);
    await takenLinks.set(link, record);
    const former = had?.addresses.find((cidr) => !isIpv6(cidr));
    // The host has had it until now.
    this.#leave(former, lease);
    if (!had && addresses.every(isIpv6)) await fillLink(leaseAlone(record));
    log.info(lease, "DHCP lease");
  }

  /** What VPP has by now instead of what was recorded, after a time when nobody watched. */
  async refresh(signal: AbortSignal): Promise<void> {
    const { taken } = this;
    if (!taken || !(await this.#read(taken.link, signal))) return;
    await this.#take(taken, this.#lease);
  }

  /** Runs until `signal` aborts. `onMoved`: the record has changed; or the host can do without its former address. */
  async follow(onMoved: () => Promise<void>, signal: AbortSignal): Promise<void> {
    const { vpp, clock, log } = this.#parts;
    await watchDhcpLeases(
      {
        vpp,
        clock,
        every: WATCH,
        onChange: async (leases) => {
          const { taken } = this;
          if (!taken) return;
          this.#note(leases.find((lease) => lease.interface === uplinkInterface(taken.link)));
          if (await this.#take(taken, this.#lease)) this.#due = ["move", ...this.#due];
          for (let due = this.#due[0]; due !== undefined; due = this.#due[0]) {
            if (due === "leave") {
              await sleep(clock, SETTLES, signal);
              this.#former = undefined;
            }
            await onMoved();
            this.#due.shift();
          }
        },
        onError: (err) => log.debug({ err }, "cannot read DHCP leases"),
      },
      signal,
    );
  }

  status(): Readonly<Record<string, unknown>> {
    const { taken } = this;
    const known = taken && leaseOf(taken);
    const lostAt = this.#lostAt;
    return {
      dhcp: {
        link: taken?.link,
        bound: this.#lease !== undefined,
        ...known,
        ...(this.#lease && { nameServers: this.#lease.nameServers }),
        ...(lostAt === undefined ? {} : { lostAt: new Date(lostAt).toISOString() }),
      },
    };
  }

  /** For the status of the dataplane. */
  get warnings(): readonly string[] {
    const { taken } = this;
    if (!taken || this.#lease) return [];
    const since = this.#lostAt === undefined ? "" : ` since ${new Date(this.#lostAt).toISOString()}`;
    const kept = leaseOf(taken)?.address ?? "";
    return [
      `no DHCP lease on ${taken.link}${since}: no IPv4 leaves this node; ${kept} stays its address until a lease comes`,
    ];
  }

  metrics(): MetricFamily {
    const { taken } = this;
    const labels = { interface: uplinkInterface(taken?.link ?? "") };
    return {
      name: "heddle_vpp_dhcp_lease",
      help: "1 while the uplink has a DHCP lease",
      type: "gauge",
      samples: taken ? [{ labels, value: this.#lease ? 1 : 0 }] : [],
    };
  }

  /** The names of interfaces are read with it: before the first resync nobody knows them. */
  async #read(link: string, signal: AbortSignal): Promise<boolean> {
    const { api } = this.#parts.vpp;
    const names = await interfaceNames(api, signal);
    const leases = await readDhcpLeases({ api, nameOf: (index) => names.get(index) }, signal);
    this.#lease = leases.find((lease) => lease.interface === uplinkInterface(link));
    return this.#lease !== undefined;
  }

  /** Records it if it says something else than the last one. */
  async #take(taken: TakenLinkValue, lease: DhcpLease | undefined): Promise<boolean> {
    const { takenLinks, log } = this.#parts;
    const was = leaseOf(taken);
    if (!lease || !isElsewhere(was, lease)) return false;
    log.warn({ was, now: lease }, "this node's address has changed");
    await takenLinks.set(taken.link, withLease(taken, lease));
    this.#leave(was?.address, lease);
    return true;
  }

  #leave(former: string | undefined, { address }: DhcpLease): void {
    this.#former = former === address ? undefined : former;
    this.#due = this.#former === undefined ? [] : ["leave"];
  }

  #note(lease: DhcpLease | undefined): void {
    const { clock, log } = this.#parts;
    if (this.#lease && !lease) {
      this.#lostAt = clock.wall();
      log.warn({ was: this.#lease }, "the DHCP lease is lost");
    } else if (lease) {
      this.#lostAt = undefined;
    }
    this.#lease = lease;
  }
}

async function interfaceNames(api: VppApi, signal: AbortSignal): Promise<ReadonlyMap<number, string>> {
  const interfaces = await api.dump("sw_interface_dump", { name_filter_valid: false }, { signal });
  return new Map(
    interfaces.flatMap(({ sw_if_index, tag }) => {
      const name = parseInterfaceTag(tag)?.name;
      return name === undefined ? [] : [[sw_if_index, name] as const];
    }),
  );
}

const noLease = (link: string, wait: Duration): string =>
  `no DHCP lease on ${link} within ${wait / 1000} s: is the link up and in the right network, does a DHCP server answer there ` +
  `(heddlectl vpp cli -- show dhcp client verbose; tcpdump -ni ${link} port 67 or port 68), is vpp.dhcp.waitSeconds enough?`;

/** The links to take where the kernel still has them, that of the IPv4 address first. @throws UnderlayError */
export async function leasableLinks(
  linux: Pick<LinuxDataplane, "underlay">,
  nodeIPs: readonly IpAddress[] | undefined,
  link: string | undefined,
): Promise<readonly string[]> {
  try {
    const { uplinks } = await linux.underlay(nodeIPs);
    return [...new Set([...(link === undefined ? [] : [link]), ...uplinks.map((uplink) => uplink.link)])];
  } catch (e) {
    if (!(e instanceof UnderlayError)) throw e;
    if (link !== undefined) return [link];
    throw new UnderlayError(
      "NO_UNDERLAY",
      "no default route tells which link gets its address by DHCP; set vpp.dhcp.link",
    );
  }
}

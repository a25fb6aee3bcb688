import { setImmediate as turn } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { millis, seconds } from "../../../../../src/base/clock/clock.ts";
import { ManualClock } from "../../../../../src/base/clock/manual-clock.ts";
import { DhcpClientState, type VppApi } from "../../../../../src/dataplane/vpp/binapi/index.ts";
import { leaseOf } from "../../../../../src/dataplane/vpp/dhcp/lease-record.ts";
import { NoLeaseError, UplinkLease } from "../../../../../src/dataplane/vpp/dhcp/uplink-lease.ts";
import { silentLog } from "../../../../../src/infra/log/log.ts";
import type { Scheduler, Txn } from "../../../../../src/kvscheduler/api/scheduler.ts";
import type { TakenLinkValue } from "../../../../../src/models/linux.ts";

const LEASE = { address: "192.0.2.77", router: "192.0.2.1" };
const INDEX = 3;

/** VPP's answers: one uplink, with a lease or without. */
class ToldVpp {
  lease: typeof LEASE | undefined;
  fails = false;

  readonly api = {
    dump: (name: string) => {
      if (this.fails) return Promise.reject(new Error("gone"));
      if (name === "sw_interface_dump") return Promise.resolve([{ sw_if_index: INDEX, tag: "heddle:uplink-eth0" }]);
      const state = DhcpClientState[this.lease ? "DHCP_CLIENT_STATE_API_BOUND" : "DHCP_CLIENT_STATE_API_DISCOVER"];
      const { address: host_address = "0.0.0.0", router: router_address = "0.0.0.0" } = this.lease ?? {};
      const domain_server = [{ address: "192.0.2.53" }];
      const lease = { sw_if_index: INDEX, state, host_address, mask_width: 24, router_address, domain_server };
      return Promise.resolve([{ lease }]);
    },
  } as unknown as VppApi;
  indexOf = () => INDEX;
  nameOf = () => "uplink-eth0";
}

describe("the lease of an uplink", () => {
  let vpp: ToldVpp;
  let clock: ManualClock;
  let records: Map<string, TakenLinkValue>;
  let addresses: readonly string[];
  let filled: TakenLinkValue[];
  let txns: Txn[];
  let failing: ReadonlyMap<string, Error>;
  let lease: UplinkLease;
  let ending: AbortController;

  const scheduler = {
    transact: (txn: Txn) => {
      txns.push(txn);
      return Promise.resolve({ errors: failing });
    },
  } as unknown as Scheduler;
  const settle = async (): Promise<void> => {
    for (let i = 0; i < 10; i++) await turn();
  };
  const passes = async (ms: number): Promise<void> => {
    for (let i = 0; i < ms / 100; i++) {
      clock.advance(millis(100));
      await settle();
    }
  };
  const start = (): UplinkLease =>
    new UplinkLease({
      dhcp: { hostname: "n1", wait: seconds(5) },
      vpp,
      takenLinks: {
        all: () => records,
        set: (link, value) => {
          if (value) records.set(link, value);
          else records.delete(link);
          return Promise.resolve();
        },
      },
      register: () => {},
      findLink: (link) =>
        Promise.resolve(
          link === "eth0"
            ? { index: 2, mac: "02:fe:00:00:00:01", mtu: 1500, addresses, routes: [], gro: true }
            : undefined,
        ),
      fillLink: (value) => Promise.resolve(void filled.push(value)),
      clock,
      log: silentLog,
    });
  /** With a lease, followed; returns what was heard of changes. */
  const followed = async (onMoved: (moves: number) => Promise<void> = () => Promise.resolve()) => {
    vpp.lease = LEASE;
    await lease.acquire("eth0", scheduler, ending.signal);
    const heard: { address: string | undefined; former: string | undefined }[] = [];
    void lease.follow(() => {
      heard.push({ address: lease.taken && leaseOf(lease.taken)?.address, former: lease.former });
      return onMoved(heard.length);
    }, ending.signal);
    await settle();
    return heard;
  };

  beforeEach(() => {
    vpp = new ToldVpp();
    clock = new ManualClock();
    records = new Map();
    addresses = ["fd77::1/64"];
    filled = [];
    txns = [];
    failing = new Map();
    ending = new AbortController();
    lease = start();
  });
  afterEach(() => ending.abort());

  it("is waited for, recorded, and lent to a kernel that has no IPv4 address", async () => {
    const acquired = lease.acquire("eth0", scheduler, ending.signal);
    await passes(1000);
    expect(records.size).toBe(0);
    vpp.lease = LEASE;
    await passes(200);
    await acquired;
    expect(txns).toMatchObject([{ source: "uplink", resync: "full" }]);
    const keys = [...(txns[0]?.changes ?? [])].map(([key]) => key);
    expect(keys).toEqual(["vpp/interface/uplink-eth0", "vpp/interface-up/uplink-eth0", "vpp/dhcp-client/uplink-eth0"]);
    expect(lease.taken).toMatchObject({ addresses: ["192.0.2.77/24", "fd77::1/64"], gro: true, dhcp: true });
    expect(filled).toMatchObject([{ link: "eth0", addresses: ["192.0.2.77/24"] }]);
    expect(lease.warnings).toEqual([]);
    expect(lease.status()).toEqual({
      dhcp: { link: "eth0", bound: true, address: "192.0.2.77/24", router: "192.0.2.1", nameServers: ["192.0.2.53"] },
    });
  });

  it("leaves a kernel with an address alone", async () => {
    addresses = ["192.0.2.9/24"];
    vpp.lease = LEASE;
    await lease.acquire("eth0", scheduler, ending.signal);
    expect(lease.taken?.addresses).toEqual(["192.0.2.77/24"]);
    expect(filled).toEqual([]);
  });

  it("is given up after the deadline, by link, time and what to look at", async () => {
    const error = expect(lease.acquire("eth0", scheduler, ending.signal)).rejects;
    const named = error.toThrow(/on eth0 within 5 s.*vpp\.dhcp\.waitSeconds/);
    await passes(5200);
    await named;
    expect(records.size).toBe(0);
  });

  it.each<[string, string, () => void]>([
    ["a link that is not there", "eth9", () => {}],
    ["an interface that VPP cannot make", "eth0", () => (failing = new Map([["vpp/interface/x", new Error("no")]]))],
  ])("is not waited for with %s", async (_what, link, harm) => {
    harm();
    await expect(lease.acquire(link, scheduler, ending.signal)).rejects.toThrow(NoLeaseError);
  });

  it("moves the node when it says something else, and the host keeps its former address until all have followed", async () => {
    const heard = await followed();
    expect(heard).toEqual([]);
    vpp.lease = { ...LEASE, address: "192.0.2.88" };
    await passes(1000);
    const address = "192.0.2.88/24";
    expect(heard).toEqual([{ address, former: "192.0.2.77/24" }]);
    await passes(5000);
    expect(heard.slice(1)).toEqual([{ address, former: undefined }]);
    expect(lease.former).toBeUndefined();
  });

  it("tells of it again when that was not taken", async () => {
    const heard = await followed((n) => (n === 1 ? Promise.reject(new Error("busy")) : Promise.resolve()));
    vpp.lease = { ...LEASE, router: "192.0.2.2" };
    await passes(8000);
    expect(heard).toHaveLength(2);
  });

  it("stays the node's address when it is lost, which is told and counted", async () => {
    const heard = await followed();
    vpp.lease = undefined;
    await passes(1000);
    expect(lease.warnings).toEqual([expect.stringMatching(/no DHCP lease on eth0 since .*192\.0\.2\.77\/24/)]);
    expect(lease.metrics().samples).toEqual([{ labels: { interface: "uplink-eth0" }, value: 0 }]);
    expect(lease.taken && leaseOf(lease.taken)).toEqual({ address: "192.0.2.77/24", router: "192.0.2.1" });
    vpp.lease = LEASE;
    await passes(1000);
    expect(lease.warnings).toEqual([]);
    expect(lease.metrics().samples).toEqual([{ labels: { interface: "uplink-eth0" }, value: 1 }]);
    expect(heard).toEqual([]);
  });

  it("goes on being watched when VPP does not answer", async () => {
    const heard = await followed();
    vpp.fails = true;
    await passes(3000);
    vpp.fails = false;
    vpp.lease = { ...LEASE, address: "192.0.2.88" };
    await passes(1000);
    expect(heard).toHaveLength(1);
  });

  it("that changed while nobody watched is known before anything is rendered", async () => {
    vpp.lease = LEASE;
    await lease.acquire("eth0", scheduler, ending.signal);
    vpp.lease = { ...LEASE, address: "192.0.2.88" };
    lease = start();
    await lease.refresh(ending.signal);
    expect(lease.taken?.addresses).toContain("192.0.2.88/24");
    expect(lease.former).toBe("192.0.2.77/24");
    const heard: unknown[] = [];
    void lease.follow(() => Promise.resolve(void heard.push(lease.former)), ending.signal);
    await passes(5000);
    expect(heard).toEqual([undefined]);
  });
});

import { describe, expect, it } from "vitest";
import type { FlowSocket } from "../../../../../src/dataplane/linux/conntrack/ending.ts";
import { encodeFlow, type Flow, FlowMsg } from "../../../../../src/dataplane/linux/conntrack/flow.ts";
import { commonFilter, FlowFlusher, type FlowTarget } from "../../../../../src/dataplane/linux/conntrack/flusher.ts";
import { describeTuple } from "../../../../../src/dataplane/linux/conntrack/tuple.ts";
import { NetlinkError, NetlinkSocketError } from "../../../../../src/dataplane/linux/netlink/errors.ts";
import type { Outcome } from "../../../../../src/dataplane/linux/netlink/exchange.ts";
import type { NetlinkDump, NetlinkRequest } from "../../../../../src/dataplane/linux/netlink/request.ts";

const LOCAL = { 2: ["127.0.0.0/8", "192.0.2.1/32"], 10: ["::1/128", "2001:db8::1/128"] };
const ENOENT = 2;
const EPERM = 1;

function udp(destination: string, destinationPort: number, more: Partial<Flow> = {}): Flow {
  const source = destination.includes(":") ? "2001:db8::9" : "192.0.2.9";
  return { original: { source, destination, protocol: 17, sourcePort: 5353, destinationPort }, ...more };
}

/** A table that shows everything, as a kernel that does not know filters. */
class FakeTable implements FlowSocket {
  flows: Flow[];
  readonly dumps: string[] = [];
  readonly bursts: number[] = [];
  closed = 0;
  failDump: Error | undefined;
  failDelete: number | undefined;

  constructor(...flows: Flow[]) {
    this.flows = flows;
  }

  async dump<T>(dump: NetlinkDump<T>): Promise<T[]> {
    await Promise.resolve();
    this.dumps.push(dump.words);
    if (this.failDump) throw this.failDump;
    const header = { type: FlowMsg.NEW, flags: 0, seq: 0, portId: 0 };
    return this.flows.flatMap((flow) => dump.decode({ ...header, body: encodeFlow(flow) }) ?? []);
  }

  async burst<T>(requests: readonly NetlinkRequest<T>[]): Promise<Outcome<T>[]> {
    await Promise.resolve();
    this.bursts.push(requests.length);
    return requests.map((request) => {
      if (this.failDelete !== undefined) return { ok: false, error: new NetlinkError(request.words, this.failDelete) };
      const left = this.flows.filter((flow) => `delete the flow ${describeTuple(flow.original)}` !== request.words);
      this.flows = left;
      return { ok: true, value: request.decode([]) };
    });
  }

  async close(): Promise<void> {
    await Promise.resolve();
    this.closed++;
  }
}

function setUp(...flows: Flow[]) {
  const table = new FakeTable(...flows);
  const counts = { opened: 0, looked: 0 };
  const flusher = new FlowFlusher(
    async () => {
      counts.opened++;
      return table;
    },
    async (family) => {
      counts.looked++;
      return LOCAL[family as keyof typeof LOCAL];
    },
  );
  const left = () => table.flows.map((flow) => `${flow.original.destination} ${flow.original.destinationPort}`);
  return { table, counts, flusher, left };
}

const target = (more: Partial<FlowTarget> = {}): FlowTarget => ({
  ...{ family: 4, protocol: "udp", destinationPort: 8000 },
  ...more,
});

describe("flushing flows", () => {
  it("ends those to a port of the node, on every address of its own", async () => {
    const { flusher, left } = setUp(udp("192.0.2.1", 8000), udp("127.0.0.53", 8000), udp("192.0.2.1", 8001));
    await flusher.flush([target()]);
    expect(left()).toEqual(["192.0.2.1 8001"]);
    expect(flusher.problem).toBeUndefined();
  });

  it("lets flows to the same port of others live: they pass the node only", async () => {
    const { flusher, left } = setUp(udp("203.0.113.5", 53), udp("192.0.2.1", 53));
    await flusher.flush([target({ destinationPort: 53 })]);
    expect(left()).toEqual(["203.0.113.5 53"]);
  });

  it("keeps to one address and one protocol where they are given", async () => {
    const tcp: Flow = { original: { ...udp("192.0.2.1", 8000).original, protocol: 6 } };
    const { flusher, left } = setUp(udp("192.0.2.1", 8000), udp("127.0.0.1", 8000), tcp);
    await flusher.flush([target({ destination: "192.0.2.1" })]);
    expect(left()).toEqual(["127.0.0.1 8000", "192.0.2.1 8000"]);
  });

  it("touches nothing, and opens nothing, when there is nothing to flush", async () => {
    const { flusher, counts, table } = setUp();
    await flusher.flush([]);
    await flusher.close();
    expect([counts.opened, table.dumps.length, table.closed]).toEqual([0, 0, 0]);
  });

  it("reads the table once for a family, however many ports", async () => {
    const { flusher, counts, table, left } = setUp(
      ...[8000, 8001, 8002].flatMap((port) => [udp("192.0.2.1", port), udp("2001:db8::1", port)]),
    );
    await flusher.flush([8000, 8002].flatMap((destinationPort) => [target({ destinationPort })]));
    expect([table.dumps.length, left()]).toEqual([
      1,
      ["2001:db8::1 8000", "192.0.2.1 8001", "2001:db8::1 8001", "2001:db8::1 8002"],
    ]);
    await flusher.flush([target({ destinationPort: 8001 }), target({ family: 6, destinationPort: 8001 })]);
    expect([table.dumps.length, left(), counts.opened]).toEqual([3, ["2001:db8::1 8000", "2001:db8::1 8002"], 1]);
  });

  it("does not ask for the node's addresses when no flow has the port", async () => {
    const { flusher, counts } = setUp(udp("192.0.2.1", 1));
    await flusher.flush([target()]);
    expect(counts.looked).toBe(0);
  });

  it("takes a flow that ended meanwhile for deleted", async () => {
    const { flusher, table } = setUp(udp("192.0.2.1", 8000));
    table.failDelete = ENOENT;
    await flusher.flush([target()]);
    expect(flusher.problem).toBeUndefined();
  });

  it("deletes a great many in slices, with turns of the event loop between them", async () => {
    const flows = Array.from({ length: 1000 }, (_, i): Flow => {
      const { original } = udp("192.0.2.1", 8000);
      return { original: { ...original, sourcePort: i + 1 } };
    });
    const { flusher, table } = setUp(...flows);
    await flusher.flush([target()]);
    expect([table.flows.length, Math.max(...table.bursts) <= 256]).toEqual([0, true]);
  });

  it.each<[string, (table: FakeTable, error?: Error) => void]>([
    [
      "reading",
      (table) => {
        table.failDump = new NetlinkSocketError("read the flows", "ENOBUFS", "answers were lost");
      },
    ],
    [
      "deleting",
      (table) => {
        table.failDelete = EPERM;
      },
    ],
  ])("that fails at %s is a problem to name, and is done with the next one", async (_what, breakIt) => {
    const { flusher, table, left } = setUp(udp("192.0.2.1", 8000), udp("192.0.2.1", 9000));
    breakIt(table);
    await flusher.flush([target()]);
    await flusher.flush([target()]);
    expect(flusher.problem).toMatch(/^connection tracking: flows to host ports may keep going .*(ENOBUFS|EPERM|lost)/);
    table.failDump = table.failDelete = undefined;
    await flusher.flush([target({ destinationPort: 9000 })]);
    expect([left(), flusher.problem]).toEqual([[], undefined]);
  });

  it("that finds no socket is a problem to name", async () => {
    const flusher = new FlowFlusher(
      () => Promise.reject(new NetlinkSocketError("open a netlink socket", "EPROTONOSUPPORT", "no netfilter")),
      () => Promise.resolve([]),
    );
    await flusher.flush([target()]);
    expect(flusher.problem).toContain("no netfilter");
    await flusher.close();
  });
});

describe("what the kernel is asked to choose by", () => {
  it.each<[string, FlowTarget[], object]>([
    ["one port", [target()], { protocol: 17, destinationPort: 8000 }],
    [
      "one port of one address",
      [target({ destination: "192.0.2.1" })],
      { protocol: 17, destinationPort: 8000, destination: "192.0.2.1" },
    ],
    ["two ports", [target(), target({ destinationPort: 8001 })], { protocol: 17 }],
    ["two protocols, whose port cannot be told without them", [target(), target({ protocol: "sctp" })], {}],
    ["an address and all", [target(), target({ destination: "192.0.2.1" })], { protocol: 17, destinationPort: 8000 }],
  ])("%s", (_what, targets, original) => {
    expect(commonFilter(4, targets)).toEqual({ family: 2, original });
  });
});

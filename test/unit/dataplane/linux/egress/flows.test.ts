import { describe, expect, it } from "vitest";
import { type IpAddress, parseIp } from "../../../../../src/base/ip/address.ts";
import type { FlowSocket } from "../../../../../src/dataplane/linux/conntrack/ending.ts";
import { encodeFlow, type Flow, FlowMsg } from "../../../../../src/dataplane/linux/conntrack/flow.ts";
import { IpProtocol } from "../../../../../src/dataplane/linux/conntrack/tuple.ts";
import { EgressFlows } from "../../../../../src/dataplane/linux/egress/flows.ts";

const [POD, OTHER, NODE, EGRESS, OUTSIDE, INSIDE] = [
  ...["10.1.0.2", "10.1.0.3", "192.0.2.1", "192.0.2.9", "198.51.100.1", "10.1.0.7"].map(parseIp),
] as [IpAddress, IpAddress, IpAddress, IpAddress, IpAddress, IpAddress];
const isOutside = (ip: IpAddress): boolean => ip !== INSIDE;

/** A pod's flow, and as whom it left. */
const flow = (pod: IpAddress, to: IpAddress, leftAs: IpAddress): Flow => ({
  original: { source: pod, destination: to, protocol: IpProtocol.UDP, sourcePort: 5, destinationPort: 53 },
  reply: { source: to, destination: leftAs, protocol: IpProtocol.UDP, sourcePort: 53, destinationPort: 5 },
});

describe("flows of pods with an egress address", () => {
  let deleted: string[] = [];
  let isBroken = false;
  const socket: FlowSocket = {
    dump: (dump) => {
      if (isBroken) return Promise.reject(new Error("no memory"));
      const flows = [flow(POD, OUTSIDE, NODE), flow(POD, INSIDE, POD), flow(OTHER, OUTSIDE, EGRESS)];
      return Promise.resolve(
        flows.flatMap(
          (f) => dump.decode({ type: FlowMsg.NEW, flags: 0, seq: 0, portId: 0, body: encodeFlow(f) }) ?? [],
        ),
      );
    },
    burst: (requests) => {
      deleted.push(...requests.map(({ words }) => words));
      return Promise.resolve(requests.map(() => ({ ok: true as const, value: undefined as never })));
    },
    close: () => Promise.resolve(),
  };
  const both = new Map([
    [POD, EGRESS],
    [OTHER, EGRESS],
  ]);

  it("end where they left as somebody else, to the outside", async () => {
    deleted = [];
    const flows = new EgressFlows(() => Promise.resolve(socket));
    await flows.end(both, isOutside);
    expect(deleted).toEqual([expect.stringContaining(POD)]);
    expect(flows.problem).toBeUndefined();
  });

  it("that could not be ended are named, and are ended with the next ones", async () => {
    deleted = [];
    const flows = new EgressFlows(() => Promise.resolve(socket));
    isBroken = true;
    await flows.end(new Map([[POD, EGRESS]]), isOutside);
    expect(flows.problem).toMatch(/may be stuck: no memory/);
    isBroken = false;
    await flows.end(new Map([[OTHER, EGRESS]]), isOutside);
    expect(deleted).toEqual([expect.stringContaining(POD)]);
    expect(flows.problem).toBeUndefined();
  });
});

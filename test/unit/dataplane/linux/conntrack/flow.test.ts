import { describe, expect, it } from "vitest";
import {
  decodeFlow,
  type Flow,
  FlowAttr,
  FlowMsg,
  FlowStatus,
} from "../../../../../src/dataplane/linux/conntrack/flow.ts";
import { flowDelete, flowDump } from "../../../../../src/dataplane/linux/conntrack/requests.ts";
import { describeTuple, type FlowTuple, IpProtocol } from "../../../../../src/dataplane/linux/conntrack/tuple.ts";
import { splitAttrs } from "../../../../../src/dataplane/linux/netlink/attr.ts";
import { NetlinkFormatError } from "../../../../../src/dataplane/linux/netlink/nlmsg.ts";
import { golden } from "../netlink/golden.ts";

const ends = { source: "192.0.2.9", destination: "192.0.2.1" };
const back = { source: "192.0.2.1", destination: "192.0.2.9" };
const ends6 = { source: "2001:db8::9", destination: "2001:db8::1" };
const back6 = { source: "2001:db8::1", destination: "2001:db8::9" };
const ports = (sourcePort: number, destinationPort: number) => ({ sourcePort, destinationPort });
const { SEEN_REPLY, ASSURED, CONFIRMED, DST_NAT } = FlowStatus;

/** What `conntrack -I` was told to make, and what the kernel shows of it. */
const FLOWS: readonly (readonly [name: string, flow: Flow])[] = [
  [
    "udp",
    {
      original: { ...ends, protocol: IpProtocol.UDP, ...ports(5353, 8000) },
      reply: { source: "10.1.0.2", destination: "192.0.2.9", protocol: IpProtocol.UDP, ...ports(7000, 5353) },
      status: SEEN_REPLY | CONFIRMED,
      mark: 16,
    },
  ],
  [
    "udp6",
    {
      original: { ...ends6, protocol: IpProtocol.UDP, ...ports(5353, 8000) },
      reply: { ...back6, protocol: IpProtocol.UDP, ...ports(8000, 5353) },
      status: CONFIRMED,
      mark: 0,
    },
  ],
  [
    "tcp",
    {
      original: { ...ends, protocol: IpProtocol.TCP, ...ports(4000, 80) },
      reply: { ...back, protocol: IpProtocol.TCP, ...ports(80, 4000) },
      status: ASSURED | CONFIRMED,
      mark: 0,
      zone: 7,
    },
  ],
  [
    "icmp",
    {
      original: { ...ends, protocol: IpProtocol.ICMP, icmp: { type: 8, code: 0, id: 77 } },
      reply: { ...back, protocol: IpProtocol.ICMP, icmp: { type: 0, code: 0, id: 77 } },
      status: CONFIRMED,
      mark: 0,
    },
  ],
  [
    "icmp6",
    {
      original: { ...ends6, protocol: IpProtocol.ICMPV6, icmp: { type: 128, code: 0, id: 78 } },
      reply: { ...back6, protocol: IpProtocol.ICMPV6, icmp: { type: 129, code: 0, id: 78 } },
      status: CONFIRMED,
      mark: 0,
    },
  ],
  [
    "sctp",
    {
      original: { ...ends, protocol: IpProtocol.SCTP, ...ports(38412, 38412) },
      reply: { ...back, protocol: IpProtocol.SCTP, ...ports(38412, 38412) },
      status: CONFIRMED,
      mark: 0,
    },
  ],
];

const attr = (body: Uint8Array, type: number): string | undefined => {
  const found = splitAttrs(body.subarray(4)).find((a) => a.type === type);
  return found && Buffer.from(found.data).toString("hex");
};

describe("flows that the kernel shows", () => {
  const shown = golden("flow-show", "conntrack").received.filter((m) => m.type === FlowMsg.NEW);

  it.each(FLOWS)("%s", (_name, flow) => {
    expect(shown.map((m) => decodeFlow(m.body))).toContainEqual({
      ...flow,
      id: expect.any(Number),
      timeout: expect.any(Number),
    });
  });

  it("are as many as there are, and each has an id of its own", () => {
    expect(new Set(shown.map((m) => decodeFlow(m.body).id)).size).toBe(FLOWS.length);
  });

  it("have the family that was asked for", () => {
    const v4 = golden("flow-show4", "conntrack").received.filter((m) => m.type === FlowMsg.NEW);
    expect(v4.map((m) => decodeFlow(m.body).original.destination)).toEqual(Array(4).fill("192.0.2.1"));
  });

  it("say that their destination is translated", () => {
    expect(DST_NAT).toBe(0x20); // IPS_DST_NAT_BIT = 5
  });
});

describe("tuples are written as conntrack writes them", () => {
  it.each(FLOWS)("%s", (name, { original }) => {
    const sent = golden(`flow-add-${name}`, "conntrack").sent.body;
    expect(Buffer.from(flowDelete({ original }).body.subarray(0, 4))).toEqual(Buffer.from(sent.subarray(0, 4)));
    expect(attr(flowDelete({ original }).body, FlowAttr.TUPLE_ORIG)).toBe(attr(sent, FlowAttr.TUPLE_ORIG));
  });
});

describe("a deletion", () => {
  it.each([
    ["flow-delete", 2],
    ["flow-delete6", 1],
  ] as const)("of %s has the type, flags, tuple and zone that conntrack sends", (name, at) => {
    const { sent } = golden(name, "conntrack");
    const request = flowDelete(FLOWS[at]?.[1] ?? { original: {} });
    expect({ type: request.type, flags: request.flags }).toEqual({ type: sent.type, flags: sent.flags });
    for (const type of [FlowAttr.TUPLE_ORIG, FlowAttr.ZONE]) {
      expect(attr(request.body, type)).toBe(attr(sent.body, type));
    }
  });

  it("names which of several entries of the same tuple, and nothing that would be a condition", () => {
    const types = splitAttrs(flowDelete({ original: FLOWS[0]?.[1].original ?? {}, id: 9 }).body.subarray(4));
    expect(types.map((a) => a.type)).toEqual([FlowAttr.TUPLE_ORIG, FlowAttr.ID]);
    expect(attr(flowDelete({ original: ends, id: 9 }).body, FlowAttr.ID)).toBe("00000009");
  });

  it("without addresses is refused: the kernel would delete everything", () => {
    expect(() => flowDelete({ original: {} })).toThrow(RangeError);
    expect(() => flowDelete({ original: { protocol: 17 } })).toThrow(RangeError);
  });

  it("is words that an administrator understands", () => {
    expect(flowDelete({ original: FLOWS[1]?.[1].original ?? {} }).words).toBe(
      "delete the flow udp from [2001:db8::9]:5353 to [2001:db8::1]:8000",
    );
  });
});

describe("a dump", () => {
  const original = { protocol: IpProtocol.UDP, destinationPort: 8000 };

  it("of a family is what conntrack sends", () => {
    const { sent } = golden("flow-show4", "conntrack");
    const dump = flowDump({ family: 2, original: {} }, (flow) => flow);
    expect([dump.type, Buffer.from(dump.body)]).toEqual([sent.type, Buffer.from(sent.body)]);
  });

  it("keeps to its filter where the kernel has not", () => {
    const dump = flowDump({ family: 2, original }, (flow) => flow.original.destinationPort);
    const answers = golden("flow-show", "conntrack").received;
    expect(answers.flatMap((m) => dump.decode(m) ?? [])).toEqual([8000]);
  });

  it.each<[FlowTuple, string]>([
    [original, "28000000"], // CTA_FILTER_F_CTA_PROTO_NUM | _PROTO_DST_PORT
    [{ ...original, destination: "192.0.2.1" }, "2a000000"], // | _IP_DST
    [{ protocol: 17 }, "08000000"],
  ])("has the kernel choose by %j", (tuple, flags) => {
    const dump = flowDump({ family: 2, original: tuple }, (flow) => flow);
    expect(attr(dump.body, FlowAttr.FILTER)).toBe(`08000100${flags}`);
  });
});

describe("a flow", () => {
  it("with an address of the other family in an attribute is refused", () => {
    // CTA_TUPLE_ORIG { CTA_TUPLE_IP { CTA_IP_V6_DST of 4 bytes } }
    const body = Buffer.from("02000000100001800c00018008000400c0000201", "hex");
    expect(() => decodeFlow(body)).toThrow(NetlinkFormatError);
  });

  it.each<[FlowTuple, string]>([
    [{ ...ends, protocol: 6, ...ports(1, 2) }, "tcp from 192.0.2.9:1 to 192.0.2.1:2"],
    [{ protocol: 17, destinationPort: 53 }, "udp to :53"],
    [{ ...ends, protocol: 47 }, "protocol 47 from 192.0.2.9 to 192.0.2.1"],
    [{}, ""],
  ])("%j in words", (tuple, words) => {
    expect(describeTuple(tuple)).toBe(words);
  });
});

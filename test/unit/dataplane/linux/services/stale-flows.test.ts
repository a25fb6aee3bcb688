import { describe, expect, it } from "vitest";
import type { FlowSocket } from "../../../../../src/dataplane/linux/conntrack/ending.ts";
import { encodeFlow, type Flow, FlowMsg } from "../../../../../src/dataplane/linux/conntrack/flow.ts";
import { IpProtocol } from "../../../../../src/dataplane/linux/conntrack/tuple.ts";
import { SERVICE_MARK } from "../../../../../src/dataplane/linux/services/names.ts";
import { StaleFlows } from "../../../../../src/dataplane/linux/services/stale-flows.ts";
import { endpoint, engineOf, GOING, hostPorts, service, slice } from "../../../../support/services/objects.ts";

/** A table of flows, from which some are deleted. */
class FakeTable {
  readonly deleted: string[] = [];
  readonly #flows: readonly Flow[];

  constructor(flows: readonly Flow[]) {
    this.#flows = flows;
  }

  socket(): FlowSocket {
    return {
      dump: (dump) =>
        Promise.resolve(
          this.#flows.flatMap((flow) => {
            const message = { type: FlowMsg.NEW, flags: 0, seq: 0, portId: 0, body: encodeFlow(flow) };
            return dump.decode(message) ?? [];
          }),
        ),
      burst: (requests) => {
        this.deleted.push(...requests.map(({ words }) => words.replace("delete the flow ", "")));
        return Promise.resolve(requests.map(() => ({ ok: true as const, value: undefined as never })));
      },
      close: () => Promise.resolve(),
    };
  }
}

const flow = (to: string, toPort: number, endpointIp: string, port: number, more: Partial<Flow> = {}): Flow => ({
  original: { source: "10.1.0.9", destination: to, protocol: IpProtocol.UDP, sourcePort: 5, destinationPort: toPort },
  reply: {
    source: endpointIp,
    destination: "10.1.0.9",
    protocol: IpProtocol.UDP,
    sourcePort: port,
    destinationPort: 5,
  },
  ...more,
});

describe("datagrams to services", () => {
  const ports = [{ name: "http", protocol: "UDP" as const, port: 80, nodePort: 30_080 }];
  const engine = engineOf([
    service({ ports, type: "NodePort" }),
    slice([endpoint("10.1.0.1"), endpoint("10.1.0.2", GOING)], {
      ports: [{ name: "http", protocol: "UDP", port: 8080 }],
    }),
    hostPorts([
      { protocol: "udp", containerPort: 53 },
      { protocol: "sctp", containerPort: 53 },
    ]),
  ]);
  const mark = SERVICE_MARK;

  it.each<[string, Flow, boolean]>([
    ["to an endpoint that serves", flow("10.96.0.1", 80, "10.1.0.1", 8080, { mark }), false],
    ["to one that drains", flow("10.96.0.1", 80, "10.1.0.2", 8080, { mark }), false],
    ["to one that is gone", flow("10.96.0.1", 80, "10.1.0.3", 8080, { mark }), true],
    ["to another port of an endpoint", flow("10.96.0.1", 80, "10.1.0.1", 8081, { mark }), true],
    ["that were let through before there was the service", flow("10.96.0.1", 80, "10.96.0.1", 80), true],
    ["to a node port whose endpoint is gone", flow("192.168.0.1", 30_080, "10.1.0.3", 8080, { mark }), true],
    ["to a node port", flow("192.168.0.1", 30_080, "10.1.0.1", 8080, { mark }), false],
    ["to a service that is gone", flow("10.96.0.7", 80, "10.1.0.1", 8080, { mark }), true],
    ["to what another proxy serves", flow("10.96.0.7", 80, "10.1.0.1", 8080), false],
    ["to a host port", flow("192.168.0.1", 8000, "10.1.0.7", 53, { mark }), false],
    ["to one that was another pod's", flow("192.168.0.1", 8000, "10.1.0.6", 53, { mark }), true],
    ["to the node itself, from before the port was a pod's", flow("192.168.0.1", 8000, "192.168.0.1", 8000), true],
    ["to one at an address that only the kernel knows", flow("192.168.9.9", 8000, "10.1.0.7", 53, { mark }), false],
    ["to a host port that is no more", flow("192.168.0.1", 8001, "10.1.0.7", 53, { mark }), true],
    ["to another machine's port of the number", flow("192.0.2.1", 8000, "192.0.2.1", 8000), false],
    ["to nobody's business", flow("192.0.2.1", 53, "192.0.2.1", 53), false],
  ])("%s", async (_what, one, isEnded) => {
    const table = new FakeTable([one]);
    const stale = new StaleFlows(() => Promise.resolve(table.socket()));
    const { destination, destinationPort } = one.original;
    const expected = isEnded ? [`udp from 10.1.0.9:5 to ${destination}:${destinationPort}`] : [];
    // The fake shows it for each protocol that is asked for; decoding keeps to it.
    expect(await stale.end(engine)).toBe(expected.length);
    expect(table.deleted).toEqual(expected);
  });
});

it("an association with the node itself outlives that the port becomes a pod's; one with a pod that is gone does not", async () => {
  const engine = engineOf([hostPorts([{ protocol: "sctp", containerPort: 53 }])]);
  const sctp = (one: Flow): Flow => ({
    ...one,
    original: { ...one.original, protocol: IpProtocol.SCTP },
    reply: { ...one.reply, protocol: IpProtocol.SCTP },
  });
  const older = sctp(flow("192.168.0.1", 8000, "192.168.0.1", 8000));
  const others = sctp(flow("192.168.0.1", 8000, "10.1.0.6", 53, { mark: SERVICE_MARK }));
  const table = new FakeTable([older, others]);
  expect(await new StaleFlows(() => Promise.resolve(table.socket())).end(engine)).toBe(1);
});

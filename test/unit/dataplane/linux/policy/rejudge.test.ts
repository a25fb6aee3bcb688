import { describe, expect, it } from "vitest";
import { parseIp } from "../../../../../src/base/ip/address.ts";
import type { FlowSocket } from "../../../../../src/dataplane/linux/conntrack/ending.ts";
import { decodeFlow, encodeFlow, type Flow, FlowMsg } from "../../../../../src/dataplane/linux/conntrack/flow.ts";
import { NetlinkError } from "../../../../../src/dataplane/linux/netlink/errors.ts";
import type { Outcome } from "../../../../../src/dataplane/linux/netlink/exchange.ts";
import type { NetlinkDump, NetlinkRequest } from "../../../../../src/dataplane/linux/netlink/request.ts";
import { DENIED_MARK } from "../../../../../src/dataplane/linux/policy/names.ts";
import { FlowJudge } from "../../../../../src/dataplane/linux/policy/rejudge.ts";
import type { ConnectionJudge, PodPolicyRow } from "../../../../../src/policy/api.ts";

const ENOENT = 2;
const OTHER_MARK = 0x4000;
const [A, B, FAR, NODE] = ["10.1.1.2", "10.1.1.3", "10.1.2.9", "192.0.2.1"] as const;

/** From port 40000 to port 80. */
const tcp = (source: string, destination: string, more: Partial<Flow> = {}): Flow => ({
  original: { source, destination, protocol: 6, sourcePort: 40_000, destinationPort: 80 },
  reply: { source: destination, destination: source, protocol: 6, sourcePort: 80, destinationPort: 40_000 },
  id: 1,
  ...more,
});

class FakeTable implements FlowSocket {
  readonly flows: Flow[];
  /** Sources and destinations of the flows that were marked, and the mark that they have now. */
  readonly marked: string[] = [];
  ended = false;

  constructor(...flows: Flow[]) {
    this.flows = flows;
  }

  async dump<T>(dump: NetlinkDump<T>): Promise<T[]> {
    await Promise.resolve();
    const header = { type: FlowMsg.NEW, flags: 0, seq: 0, portId: 0 };
    return this.flows.flatMap((flow) => dump.decode({ ...header, body: encodeFlow(flow) }) ?? []);
  }

  async burst<T>(requests: readonly NetlinkRequest<T>[]): Promise<Outcome<T>[]> {
    await Promise.resolve();
    return requests.map((request) => {
      if (this.ended) return { ok: false, error: new NetlinkError(request.words, ENOENT) };
      const { original, mark = 0 } = decodeFlow(request.body);
      this.marked.push(`${original.source} ${original.destination} ${mark}`);
      return { ok: true, value: request.decode([]) };
    });
  }

  async close(): Promise<void> {}
}

const row = (id: string, ip: string): PodPolicyRow => ({ id, ips: [parseIp(ip)] }) as unknown as PodPolicyRow;
const ROWS = [row("a", A), row("b", B)];

describe("FlowJudge", () => {
  const rejudge = async (table: FakeTable, changed: readonly string[], judge: ConnectionJudge) => {
    const judges = new FlowJudge(
      () => Promise.resolve(table),
      () => Promise.resolve([`${NODE}/32`]),
    );
    return judges.rejudge({ rows: ROWS, changed: new Set(changed) }, judge);
  };
  /** Denies these, as `id direction peer port`. */
  const denying =
    (...denied: readonly string[]): ConnectionJudge =>
    (id, direction, { peer, port, protocol }) => ({
      verdict: denied.includes(`${id} ${direction} ${peer} ${protocol} ${port}`) ? "deny" : "accept",
    });

  it.each([
    ["the side that began it", [`a egress ${B} TCP 80`]],
    ["the side that answers", [`b ingress ${A} TCP 80`]],
  ])("marks a flow that %s may no longer have", async (_what, denied) => {
    const table = new FakeTable(tcp(A, B));
    expect(await rejudge(table, ["b"], denying(...denied))).toEqual({ judged: 1, stopped: 1, resumed: 0 });
    expect(table.marked).toEqual([`${A} ${B} ${DENIED_MARK}`]);
  });

  it("takes the mark from a flow that both sides may have again, and leaves other bits alone", async () => {
    const table = new FakeTable(tcp(A, B, { mark: DENIED_MARK | OTHER_MARK }), tcp(FAR, A, { mark: OTHER_MARK }));
    expect(await rejudge(table, ["a"], denying())).toEqual({ judged: 2, stopped: 0, resumed: 1 });
    expect(table.marked).toEqual([`${A} ${B} 0`]);
  });

  it("keeps the mark of a flow that the other side still denies", async () => {
    const table = new FakeTable(tcp(A, B, { mark: DENIED_MARK }));
    expect(await rejudge(table, ["b"], denying(`a egress ${B} TCP 80`))).toEqual({ judged: 1, stopped: 0, resumed: 0 });
    expect(table.marked).toEqual([]);
  });

  it("judges by who really answers, behind a translation", async () => {
    const service = tcp(A, "10.96.0.10", {
      reply: { source: B, destination: A, protocol: 6, sourcePort: 8080, destinationPort: 40_000 },
    });
    const table = new FakeTable(service);
    expect(await rejudge(table, ["b"], denying(`b ingress ${A} TCP 8080`))).toMatchObject({ stopped: 1 });
  });

  it("does not look at flows of other pods, nor of none", async () => {
    const table = new FakeTable(tcp(FAR, A), tcp(FAR, "10.1.2.8"));
    expect(await rejudge(table, ["b"], denying(`a ingress ${FAR} TCP 80`))).toEqual({
      judged: 0,
      stopped: 0,
      resumed: 0,
    });
  });

  it("tells the judge which addresses are the node's", async () => {
    const table = new FakeTable(tcp(NODE, A));
    const judge: ConnectionJudge = (_id, _direction, { peer }, isOwnNode) => ({
      verdict: isOwnNode(peer) ? "accept" : "deny",
    });
    expect(await rejudge(table, ["a"], judge)).toMatchObject({ judged: 1, stopped: 0 });
  });

  it("does not mind flows that have ended meanwhile", async () => {
    const table = new FakeTable(tcp(A, B));
    table.ended = true;
    await expect(rejudge(table, ["a"], denying(`a egress ${B} TCP 80`))).resolves.toMatchObject({ judged: 1 });
  });
});

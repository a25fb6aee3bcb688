import { type Clock, minutes } from "../../../base/clock/clock.ts";
import type { PortProtocol } from "../../../models/k8s/pod.ts";
import type { ConnectionJudge, JudgedPacket, PodPolicyRow, Rejudgement, RejudgeScope } from "../../../policy/api.ts";
import type { VppApi } from "../binapi/index.ts";
import { type FilteredFlow, flowKey } from "../flow-filter/codec.ts";
import type { FlowFilter } from "../flow-filter/filter.ts";
import { readFlows, SESSION_TIMEOUTS } from "./sessions.ts";

/** What has had no session for so long is over. */
const FORGET_AFTER = minutes(10);

const PROTOCOLS = new Map<number, PortProtocol>([
  [6, "TCP"],
  [17, "UDP"],
  [132, "SCTP"],
]);

export interface Vpp {
  readonly api: VppApi;
  /** Another one: another VPP, maybe. */
  readonly generation: number;
}

interface Stopped {
  readonly flow: FilteredFlow;
  /** When it last had a session. */
  readonly seen: number;
}

/**
 * Judges established flows by the policies of now. VPP's sessions let all packets of a flow pass, whatever the lists say by
 * now, and nothing ends a single one. So the packets of flows that are no longer allowed are dropped one by one in a filter
 * behind the lists, where they keep their session alive; taken out of it, a flow that is allowed again goes on.
 */
export class SessionJudge {
  readonly #vpp: Vpp;
  readonly #filter: FlowFilter;
  readonly #clock: Clock;
  /** Also of an earlier VPP: its successor has neither filter nor session. */
  readonly #stopped = new Map<string, Stopped>();
  /** Which VPP has been told how long to remember sessions. */
  #told: number | undefined;
  #isPartial = false;

  constructor(vpp: Vpp, filter: FlowFilter, clock: Clock) {
    this.#vpp = vpp;
    this.#filter = filter;
    this.#clock = clock;
  }

  /** At the last time there were more flows than VPP can show. */
  get isPartial(): boolean {
    return this.#isPartial;
  }

  async rejudge({ rows, changed }: RejudgeScope, judge: ConnectionJudge, isOwnNode: IsOwnNode): Promise<Rejudgement> {
    const byAddress = new Map<string, PodPolicyRow>();
    for (const row of rows) for (const ip of row.ips) byAddress.set(ip, row);
    const isConcerned = ({ source, destination }: FilteredFlow): boolean =>
      [source, destination].some((ip) => changed.has(byAddress.get(ip)?.id ?? ""));

    const { api, generation } = this.#vpp;
    if (this.#told !== generation) {
      for (const command of SESSION_TIMEOUTS) await api.cli(command);
      this.#told = generation;
    }
    const filtered = await this.#filter.flows();
    const { flows, isPartial } = await readFlows(api);
    this.#isPartial = isPartial;
    const now = this.#clock.now();
    for (const [key, flow] of filtered) if (!this.#stopped.has(key)) this.#stopped.set(key, { flow, seen: now });
    const candidates = new Map([...this.#stopped].map(([key, { flow }]) => [key, flow]));
    for (const flow of flows) {
      const key = flowKey(flow);
      if (candidates.has(key) && this.#stopped.has(key)) this.#stopped.set(key, { flow, seen: now });
      else if (isConcerned(flow)) candidates.set(key, flow);
    }

    const add: FilteredFlow[] = [];
    const remove: FilteredFlow[] = [];
    const total = { judged: candidates.size, stopped: 0, resumed: 0 };
    for (const [key, flow] of candidates) {
      const before = this.#stopped.get(key);
      const isOver = before !== undefined && now - before.seen > FORGET_AFTER;
      const isDenied = !isOver && isDeniedBy(flow, byAddress, judge, isOwnNode);
      if (isDenied && !filtered.has(key)) add.push(flow);
      if (!isDenied && filtered.has(key)) remove.push(flow);
      if (isDenied && !before) total.stopped++;
      if (!isDenied && before && !isOver) total.resumed++;
      if (!isDenied) this.#stopped.delete(key);
      else if (!before) this.#stopped.set(key, { flow, seen: now });
    }
    await this.#filter.change(add, remove);
    return total;
  }
}

type IsOwnNode = Parameters<ConnectionJudge>[3];

/** A pod that answers is asked as well, and one that is not here is not. */
function isDeniedBy(
  { protocol, source, destination, second }: FilteredFlow,
  byAddress: ReadonlyMap<string, PodPolicyRow>,
  judge: ConnectionJudge,
  isOwnNode: IsOwnNode,
): boolean {
  const known = PROTOCOLS.get(protocol);
  return (["egress", "ingress"] as const).some((direction) => {
    const [own, peer] = direction === "egress" ? [source, destination] : [destination, source];
    const row = byAddress.get(own);
    if (!row) return false;
    const packet: JudgedPacket = { peer, protocol: known, port: known === undefined ? 0 : second };
    return judge(row.id, direction, packet, isOwnNode)?.verdict === "deny";
  });
}

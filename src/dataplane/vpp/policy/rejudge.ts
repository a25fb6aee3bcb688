import { type Clock, minutes } from "../../../base/clock/clock.ts";
import { Slice } from "../../../base/slice/slice.ts";
import {
  type ConnectionJudge,
  ConnectionScope,
  type IsOwnNode,
  type Rejudgement,
  type RejudgeScope,
} from "../../../policy/api.ts";
import { type FilteredFlow, flowKey } from "../flow-filter/codec.ts";
import type { FlowFilter } from "../flow-filter/filter.ts";
import { SCTP } from "../sctp/layout.ts";
import { FlowReader, SESSION_TIMEOUTS, type Vpp } from "./sessions.ts";

/** What has had no session for so long is over. */
const FORGET_AFTER = minutes(10);

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
  readonly #flows: FlowReader;
  /** Also of an earlier VPP: its successor has neither filter nor session. */
  readonly #stopped = new Map<string, Stopped>();
  /** Which VPP has been told how long to remember sessions. */
  #told: number | undefined;
  #isPartial = false;

  constructor(vpp: Vpp, filter: FlowFilter, clock: Clock) {
    this.#vpp = vpp;
    this.#filter = filter;
    this.#clock = clock;
    this.#flows = new FlowReader(vpp, clock);
  }

  /** At the last time there were more flows than VPP can show. */
  get isPartial(): boolean {
    return this.#isPartial;
  }

  async rejudge(asked: RejudgeScope, judge: ConnectionJudge, isOwnNode: IsOwnNode): Promise<Rejudgement> {
    const scope = new ConnectionScope(asked, judge);
    const { api, generation } = this.#vpp;
    if (this.#told !== generation) {
      for (const command of SESSION_TIMEOUTS) await api.cli(command);
      this.#told = generation;
    }
    const filtered = await this.#filter.flows();
    const { flows, isPartial } = await this.#flows.read();
    this.#isPartial = isPartial;
    const now = this.#clock.now();
    for (const [key, flow] of filtered) if (!this.#stopped.has(key)) this.#stopped.set(key, { flow, seen: now });
    const candidates = new Map([...this.#stopped].map(([key, { flow }]) => [key, flow]));
    const slice = new Slice(this.#clock);
    for (const flow of flows) {
      if (slice.isOver()) await slice.pause();
      // All of its packets are judged anyway.
      if (flow.protocol === SCTP) continue;
      const key = flowKey(flow);
      if (candidates.has(key) && this.#stopped.has(key)) this.#stopped.set(key, { flow, seen: now });
      else if (scope.isConcerned(flow)) candidates.set(key, flow);
    }

    const add: FilteredFlow[] = [];
    const remove: FilteredFlow[] = [];
    const total = { judged: candidates.size, stopped: 0, resumed: 0 };
    for (const [key, flow] of candidates) {
      if (slice.isOver()) await slice.pause();
      const before = this.#stopped.get(key);
      const isOver = before !== undefined && now - before.seen > FORGET_AFTER;
      const isDenied = !isOver && !scope.isAllowed({ ...flow, port: flow.second }, isOwnNode);
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

  /** Takes what is allowed again out of the filter, whose entries would meet new flows from the same ports as well. */
  async resume(asked: RejudgeScope, judge: ConnectionJudge, isOwnNode: IsOwnNode): Promise<number> {
    const scope = new ConnectionScope(asked, judge);
    const slice = new Slice(this.#clock);
    const remove: FilteredFlow[] = [];
    for (const [key, flow] of await this.#filter.flows()) {
      if (slice.isOver()) await slice.pause();
      if (!scope.isConcerned(flow) || !scope.isAllowed({ ...flow, port: flow.second }, isOwnNode)) continue;
      remove.push(flow);
      this.#stopped.delete(key);
    }
    await this.#filter.change([], remove);
    return remove.length;
  }
}

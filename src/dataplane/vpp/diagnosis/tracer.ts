import { type Clock, millis, sleep, systemClock } from "../../../base/clock/clock.ts";
import { isNotFound, type VppApi, VppApiError } from "../binapi/index.ts";
import { NO_INDEX } from "../target.ts";
import { installFilter } from "./classifier.ts";
import { DiagnosisError } from "./errors.ts";
import type { InterfaceNames, NamedInterface } from "./interface-names.ts";
import type { PacketFilter } from "./packet-filter.ts";
import { passes } from "./packet-path.ts";
import { parseTrace, type TraceNode } from "./trace-text.ts";

export type TracerApi = Pick<VppApi, "request" | "requestAny" | "dump" | "cli">;

/** Which packets to trace, and how long. */
export interface TraceRequest {
  readonly count: number;
  /** Only packets that come in or go out through it. */
  readonly interface?: NamedInterface;
  /** Only these, as they come in: VPP's classifier chooses them. */
  readonly filter?: PacketFilter;
  /** Nodes of VPP's graph to begin at; those of all drivers if absent. */
  readonly nodes?: readonly string[];
  /** Ends the trace; what there is by then is still handed over. */
  readonly signal: AbortSignal;
  readonly clock?: Clock;
}

/** Where packets come into VPP. Those of plugins that are not loaded don't exist. */
const DRIVER_NODES = [
  "af-packet-input",
  "virtio-input",
  "memif-input",
  "dpdk-input",
  "af-xdp-input",
  "avf-input",
  "rdma-input",
  "vmxnet3-input",
  "vhost-user-input",
  "tuntap-rx",
  "pg-input",
];

const POLL = millis(100);
/** Where what is looked for can only be told afterwards: VPP's buffer is emptied when it has so many others. */
const BUFFER = 500;

/**
 * Traces packets with VPP's tracer and hands each one over once. VPP has one tracer: what somebody else traced is
 * cleared. It is off again when this ends, however it ends.
 * @throws DiagnosisError `NO_SUCH_NODE`, `BUSY`
 */
export async function* tracePackets(
  api: TracerApi,
  names: InterfaceNames,
  request: TraceRequest,
): AsyncGenerator<TraceNode[], void, void> {
  const { count, signal, clock = systemClock } = request;
  const indices = await nodeIndices(api, request.nodes);
  await using _filter = request.filter && (await installFilter(api, "trace", request.filter));
  await using _tracer = { [Symbol.asyncDispose]: async () => void (await api.request("trace_clear_capture", {})) };
  const limit = request.interface ? Math.max(BUFFER, count) : count;
  const arm = async () => {
    for (const [i, node_index] of indices.entries()) {
      const input = { node_index, max_packets: limit, use_filter: request.filter !== undefined, verbose: true };
      await api.request("trace_capture_packets", { ...input, pre_capture_clear: i === 0 });
    }
    return new Map<number, number>();
  };
  let seen = await arm();
  for (let found = 0; found < count; ) {
    await sleep(clock, POLL, signal).catch(() => {}); // the end of the wait is no error
    const last = signal.aborted;
    for (const trace of await readNew(api, seen, limit * indices.length)) {
      const nodes = parseTrace(trace);
      if (request.interface && !passes(nodes, request.interface, names)) continue;
      if (found++ < count) yield nodes;
    }
    if (last) return;
    if (sum(seen) >= limit) seen = await arm();
  }
}

async function nodeIndices(api: TracerApi, wanted: readonly string[] | undefined): Promise<number[]> {
  const found = await Promise.all(
    (wanted ?? DRIVER_NODES).map(async (node_name) => {
      try {
        return (await api.request("get_node_index", { node_name })).node_index;
      } catch (e) {
        if (!(e instanceof VppApiError)) throw e;
        if (wanted !== undefined) {
          throw new DiagnosisError("NO_SUCH_NODE", `VPP has no node ${node_name}`, { cause: e });
        }
        return undefined;
      }
    }),
  );
  return found.filter((index) => index !== undefined);
}

/** What was traced since the last time, in order. `seen` has how many of each thread are known, and is brought up to date. */
async function readNew(api: TracerApi, seen: Map<number, number>, max: number): Promise<string[]> {
  const all = await api.dump("trace_v2_dump", { thread_id: NO_INDEX, position: 0, max, clear_cache: true });
  const fresh = all.filter(({ thread_id, position }) => position >= (seen.get(thread_id) ?? 0));
  for (const { thread_id, position } of fresh) seen.set(thread_id, position + 1);
  return fresh.map(({ trace_data }) => trace_data);
}

const sum = (counts: ReadonlyMap<number, number>): number => counts.values().reduce((a, b) => a + b, 0);

/** Adds the tags of the ACLs that a trace names to those that are `known`, by their index. */
export async function learnAclTags(
  api: Pick<VppApi, "dump">,
  nodes: readonly TraceNode[],
  known: Map<number, string>,
): Promise<void> {
  for (const { text } of nodes) {
    const index = /\bmatch: acl (\d+) /.exec(text.join("\n"))?.[1];
    const acl_index = Number(index);
    if (index === undefined || known.has(acl_index)) continue;
    // Deleted since: none, or VPP says so.
    const [acl] = await api.dump("acl_dump", { acl_index }).catch((e: unknown) => {
      if (isNotFound(e)) return [];
      throw e;
    });
    known.set(acl_index, acl?.tag ?? "");
  }
}

import type { Directory } from "./directory.ts";
import type { SegmentView } from "./memory.ts";

/** Counters of one interface since VPP started, summed over its threads. Numbers are exact up to 2⁵³. */
export interface InterfaceCounters {
  readonly swIfIndex: number;
  /** VPP's name: `host-hd12ab`. */
  readonly name: string;
  readonly rxPackets: number;
  readonly rxBytes: number;
  readonly txPackets: number;
  readonly txBytes: number;
  readonly drops: number;
  readonly punts: number;
  readonly ip4: number;
  readonly ip6: number;
  readonly rxNoBuffer: number;
  readonly rxMiss: number;
  readonly rxErrors: number;
  readonly txErrors: number;
}

/** An error or event counter of a graph node; only those that are not 0 are listed. */
export interface ErrorCounter {
  readonly node: string;
  readonly error: string;
  readonly count: number;
}

/** Run time of a graph node; there with `statseg { per-node-counters on }` only. */
export interface NodeCounters {
  readonly node: string;
  readonly calls: number;
  readonly vectors: number;
  readonly suspends: number;
  /** CPU clock cycles. */
  readonly clocks: number;
}

/** A heap, in bytes. */
export interface HeapUsage {
  readonly heap: string;
  readonly total: number;
  readonly used: number;
  readonly free: number;
}

/** A buffer pool, in buffers. */
export interface BufferPool {
  readonly pool: string;
  readonly available: number;
  readonly used: number;
  /** Free, but held by a thread. */
  readonly cached: number;
}

/** What VPP's collector wrote; everything but interfaces and errors is as old as its update interval (10 s by default). */
export interface StatsSnapshot {
  readonly epoch: bigint;
  /** Seconds since the Unix epoch; two lives of VPP differ in it. 0 until VPP's collector ran first. */
  readonly bootTime: number;
  /** Grows by one an update interval. */
  readonly heartbeat: number;
  /** Packets per call of a node, over all workers: how busy VPP is, 256 at most. */
  readonly vectorRate: number;
  /** Turns of the main loop per second, by thread, main thread first. */
  readonly loopsPerSecond: readonly number[];
  /** That CNAT knows, be they translated or not. */
  readonly connections: number;
  readonly interfaces: readonly InterfaceCounters[];
  readonly errors: readonly ErrorCounter[];
  readonly nodes: readonly NodeCounters[];
  readonly heaps: readonly HeapUsage[];
  readonly buffers: readonly BufferPool[];
}

/** Reads everything, without a look at whether VPP changed it meanwhile: that is the caller's. */
export function readSnapshot(view: SegmentView, directory: Directory): StatsSnapshot {
  return {
    epoch: directory.epoch,
    bootTime: directory.scalar(view, "/sys/boottime"),
    heartbeat: directory.scalar(view, "/sys/heartbeat"),
    vectorRate: directory.scalar(view, "/sys/vector_rate"),
    loopsPerSecond: [...(directory.rows(view, directory.entries.get("/sys/loops_per_worker"))[0] ?? [])],
    connections: directory.scalar(view, "/cnat/sessions/total"),
    interfaces: interfaces(view, directory),
    errors: errors(view, directory),
    nodes: nodes(view, directory),
    heaps: heaps(view, directory),
    buffers: buffers(view, directory),
  };
}

/** What VPP calls an interface that is gone (`statseg_sw_interface_add_del` in vnet/interface/stats.c). */
const DELETED = "deleted";

function interfaces(view: SegmentView, directory: Directory): InterfaceCounters[] {
  const sums = (name: string) => directory.sums(view, directory.entries.get(name));
  const rx = sums("/if/rx");
  const tx = sums("/if/tx");
  const drops = sums("/if/drops");
  const punts = sums("/if/punt");
  const ip4 = sums("/if/ip4");
  const ip6 = sums("/if/ip6");
  const rxNoBuffer = sums("/if/rx-no-buf");
  const rxMiss = sums("/if/rx-miss");
  const rxErrors = sums("/if/rx-error");
  const txErrors = sums("/if/tx-error");
  const found: InterfaceCounters[] = [];
  for (const [i, name] of directory.names(view, "/if/names").entries()) {
    if (name === undefined || name === DELETED) continue;
    found.push({
      swIfIndex: i,
      name,
      rxPackets: rx[2 * i] ?? 0,
      rxBytes: rx[2 * i + 1] ?? 0,
      txPackets: tx[2 * i] ?? 0,
      txBytes: tx[2 * i + 1] ?? 0,
      drops: drops[i] ?? 0,
      punts: punts[i] ?? 0,
      ip4: ip4[i] ?? 0,
      ip6: ip6[i] ?? 0,
      rxNoBuffer: rxNoBuffer[i] ?? 0,
      rxMiss: rxMiss[i] ?? 0,
      rxErrors: rxErrors[i] ?? 0,
      txErrors: txErrors[i] ?? 0,
    });
  }
  return found;
}

function errors(view: SegmentView, directory: Directory): ErrorCounter[] {
  const entry = directory.entries.get("/node/errors");
  if (!entry) return [];
  const counts = directory.sums(view, entry);
  const found: ErrorCounter[] = [];
  for (const link of directory.errors) {
    const count = link.vector === entry.index ? (counts[link.column] ?? 0) : 0;
    if (count === 0) continue;
    const path = directory.nameOf(link.index).slice("/err/".length);
    // Neither a node nor a counter has a slash in its name: VPP writes "_" for it (format_vlib_stats_symlink).
    const slash = path.indexOf("/");
    found.push({ node: path.slice(0, slash), error: path.slice(slash + 1), count });
  }
  return found;
}

function nodes(view: SegmentView, directory: Directory): NodeCounters[] {
  const names = directory.names(view, "/sys/node/names");
  if (names.length === 0) return [];
  const sums = (name: string) => directory.sums(view, directory.entries.get(`/sys/node/${name}`));
  const [calls, vectors, suspends, clocks] = [sums("calls"), sums("vectors"), sums("suspends"), sums("clocks")];
  const found: NodeCounters[] = [];
  for (const [i, node] of names.entries()) {
    const called = calls[i] ?? 0;
    if (node === undefined || called === 0) continue; // most of some 700 nodes never ran
    const counters = { vectors: vectors[i] ?? 0, suspends: suspends[i] ?? 0, clocks: clocks[i] ?? 0 };
    found.push({ node, calls: called, ...counters });
  }
  return found;
}

/** `/mem/HEAP` is a vector of 7 gauges (vlib/stats/provider_mem.c); the first three are total, used and free. */
function heaps(view: SegmentView, directory: Directory): HeapUsage[] {
  const found: HeapUsage[] = [];
  for (const entry of directory.entries.values()) {
    if (!entry.name.startsWith("/mem/")) continue;
    const [total = 0, used = 0, free = 0] = directory.sums(view, entry);
    found.push({ heap: entry.name.slice("/mem/".length), total, used, free });
  }
  return found;
}

function buffers(view: SegmentView, directory: Directory): BufferPool[] {
  const found: BufferPool[] = [];
  for (const { name } of directory.entries.values()) {
    const pool = /^\/buffer-pools\/(.+)\/available$/.exec(name)?.[1];
    if (pool === undefined) continue;
    const gauge = (what: string) => directory.scalar(view, `/buffer-pools/${pool}/${what}`);
    found.push({ pool, available: gauge("available"), used: gauge("used"), cached: gauge("cached") });
  }
  return found;
}

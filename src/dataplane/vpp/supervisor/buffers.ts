/** What VPP will have, for {@link buffersFor}. */
export interface ExpectedInterfaces {
  /** veth with AF_PACKET. Rings are the kernel's; VPP holds buffers only for what is on its way. */
  readonly afPacket?: number;
  readonly tap?: number;
  readonly memif?: number;
  /** Receive queues of all DPDK devices together. */
  readonly dpdkQueues?: number;
  readonly afXdpQueues?: number;
}

/**
 * Buffers that one interface may hold at a time. Taps, DPDK and AF_XDP fill their receive rings in advance and keep what
 * they send until it is taken (256, 1,024 and 1,024 descriptors each way by default); memif copies, a burst of 256 each
 * way; AF_PACKET likewise, and a segment of 64 KiB is 32 buffers.
 */
const HELD = { afPacket: 256, tap: 512, memif: 512, dpdkQueues: 2048, afXdpQueues: 2048 } as const;

/** For frames between nodes, reassembly and traces. */
const BASE = 4096;
/** Each thread keeps up to 512 free ones for itself (VLIB_BUFFER_POOL_PER_THREAD_CACHE_SZ of vlib/buffer.h). */
const PER_THREAD = 512;
/** VPP numbers buffers in units of 64 bytes with 32 bits; 1 Mi of them are 2.5 GB, more than a node is asked for. */
export const MAX_BUFFERS = 1 << 20;

/** `buffers-per-numa` for these interfaces and threads, a multiple of 1,024. One costs 2,496 bytes of memory. */
export function buffersFor(expected: ExpectedInterfaces, threads: number): number {
  let wanted = BASE + PER_THREAD * threads;
  for (const kind of Object.keys(HELD) as (keyof typeof HELD)[]) wanted += HELD[kind] * (expected[kind] ?? 0);
  return Math.min(MAX_BUFFERS, Math.ceil(wanted / 1024) * 1024);
}

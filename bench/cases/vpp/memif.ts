import { availableParallelism } from "node:os";
import { join } from "node:path";
import { VppClient } from "../../../src/dataplane/vpp/binapi/index.ts";
import { vppDescriptors } from "../../../src/dataplane/vpp/descriptors.ts";
import { VppSession } from "../../../src/dataplane/vpp/session/session.ts";
import { createScheduler } from "../../../src/kvscheduler/index.ts";
import {
  interfaceKey,
  interfaceUpKey,
  type MemifSocketValue,
  type MemifValue,
  memifSocketKey,
} from "../../../src/models/vpp/interface.ts";
import { l2CrossConnectKey } from "../../../src/models/vpp/l2.ts";
import { type RealVpp, type RealVppOptions, VPP_BINARY } from "../../../test/support/vpp/real-vpp.ts";
import type { Figure } from "../../figure.ts";
import { withBareVpp } from "../../rig/bare-vpp.ts";
import { median, spread } from "../../stats.ts";
import { alternating, type BareCase, type BareContext } from "../case.ts";

const NAME = "VPP, memif to memif: packets of 64 bytes";
const PEER = "VPP by hand";
const MTU = 1450;
/** Sides of each function: what is connected to ours, and to the one by hand. */
const OURS = 1;
const BY_HAND = 2;

/**
 * From one network function by memif through a VPP to another: as our items have it made, and through the CLI. The
 * functions are VPPs themselves; all four share the machine's processors.
 */
export const vppMemif: BareCase = {
  name: "vpp-memif",
  bare: true,
  run({ quick, progress }: BareContext): Promise<Figure[]> {
    if (VPP_BINARY === undefined || process.getuid?.() !== 0) {
      return Promise.resolve([{ name: NAME, unit: "/s", value: Number.NaN, samples: 0 }]);
    }
    const count = quick ? 2 : 15;
    const seconds = quick ? 0.5 : 2;
    const compare = async ([ours, hand, from, to]: readonly RealVpp[]): Promise<Figure[]> => {
      if (!ours || !hand || !from || !to) throw new Error("four VPPs are needed");
      await using cleanUp = new AsyncDisposableStack();
      const open = async ({ socket, apiDirectory }: RealVpp) =>
        cleanUp.use(await VppClient.open({ socket, apiDirectory, name: "bench" }));
      const dir = ours.directory;
      await byItems(await open(ours), dir, cleanUp);
      await byHand(await open(hand), dir);
      const [sender, receiver] = [await open(from), await open(to)];
      await networkFunction(sender, dir, "in");
      await networkFunction(receiver, dir, "out");
      progress(`memif to memif: ${count} pairs of ${seconds} s`);
      const samples = { ours: [] as number[], theirs: [] as number[] };
      for (let i = -1; i < count; i++) {
        const once = (side: number, into: number[]) => async () => {
          const rate = await packetRate(sender, receiver, side, seconds);
          if (i >= 0) into.push(rate);
        };
        await alternating(i, once(OURS, samples.ours), once(BY_HAND, samples.theirs));
      }
      return [figure(samples.ours, samples.theirs)];
    };
    // What sends as fast as it can takes a processor of its own.
    return withBareVpps([MIDDLE, MIDDLE, { ...MIDDLE, core: availableParallelism() > 1 ? 1 : 0 }, MIDDLE], compare);
  },
};

/** A memif's slave fills its rings with buffers: four of 1,024 here. */
const MIDDLE: RealVppOptions = { buffers: 16_384 };

function withBareVpps<T>(
  [first, ...rest]: readonly RealVppOptions[],
  body: (vpps: readonly RealVpp[]) => Promise<T>,
): Promise<T> {
  if (!first) return body([]);
  return withBareVpp((vpp) => withBareVpps(rest, (others) => body([vpp, ...others])), first);
}

const socketOf = (dir: string, side: number, end: "in" | "out"): string => join(dir, `memif-${side}-${end}.sock`);

/** As a pod's interfaces and a wire between them are made. */
async function byItems(client: VppClient, dir: string, cleanUp: AsyncDisposableStack): Promise<void> {
  const session = cleanUp.use(VppSession.of(client));
  const scheduler = createScheduler();
  cleanUp.defer(() => scheduler.close());
  for (const descriptor of vppDescriptors(session)) scheduler.register(descriptor);
  const changes = new Map<string, unknown>();
  for (const [i, end] of (["in", "out"] as const).entries()) {
    const socket: MemifSocketValue = { id: i + 1, filename: socketOf(dir, OURS, end) };
    const memif: MemifValue = {
      kind: "memif",
      name: end,
      mac: `02:00:00:00:06:0${i}`,
      mtu: MTU,
      socket: i + 1,
      id: 0,
      role: "master",
      mode: "ethernet",
      queues: 1,
    };
    const other = end === "in" ? "out" : "in";
    changes.set(memifSocketKey(socket.id), socket);
    changes.set(interfaceKey(end), memif);
    changes.set(interfaceUpKey(end), { interface: end, requires: [] });
    changes.set(l2CrossConnectKey(end), { rx: end, tx: other });
  }
  const { errors, pending } = await scheduler.transact({ resync: "full", changes });
  if (errors.size + pending.length > 0) throw new Error(`not made: ${[...errors, ...pending].join("; ")}`);
}

async function byHand(client: VppClient, dir: string): Promise<void> {
  for (const [i, end] of (["in", "out"] as const).entries()) {
    await client.cli(`create memif socket id ${i + 1} filename ${socketOf(dir, BY_HAND, end)}`);
    await client.cli(`create interface memif socket-id ${i + 1} id 0 master`);
    await client.cli(`set interface state memif${i + 1}/0 up`);
  }
  await client.cli("set interface l2 xconnect memif1/0 memif2/0");
  await client.cli("set interface l2 xconnect memif2/0 memif1/0");
}

/** One end's function: a memif to each of the two in the middle, and a stream of packets for each. */
async function networkFunction(client: VppClient, dir: string, end: "in" | "out"): Promise<void> {
  for (const side of [OURS, BY_HAND]) {
    await client.cli(`create memif socket id ${side} filename ${socketOf(dir, side, end)}`);
    await client.cli(`create interface memif socket-id ${side} id 0 slave`);
    await client.cli(`set interface state memif${side}/0 up`);
    const data = "IP4: 02:00:00:00:06:0a -> 02:00:00:00:06:0b UDP: 192.0.2.1 -> 192.0.2.2 UDP: 1 -> 2 incrementing 22";
    await client.cli(
      `packet-generator new { name s${side} limit -1 size 64-64 tx-interface memif${side}/0 node memif${side}/0-output data { ${data} } }`,
    );
  }
  for (const side of [OURS, BY_HAND]) {
    const deadline = performance.now() + 20_000;
    while (!/connected/.test(await client.cli(`show memif memif${side}/0`))) {
      if (performance.now() > deadline) throw new Error(`memif ${side} of ${end} is not connected`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

/** Packets per second that arrived while one function sends as fast as it can. */
async function packetRate(sender: VppClient, receiver: VppClient, side: number, seconds: number): Promise<number> {
  const received = async () =>
    Number(/rx packets +(\d+)/.exec(await receiver.cli(`show interface memif${side}/0`))?.[1] ?? 0);
  await sender.cli(`packet-generator enable-stream s${side}`);
  const [from, before] = [performance.now(), await received()];
  await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
  const rate = ((await received()) - before) / ((performance.now() - from) / 1000);
  await sender.cli(`packet-generator disable-stream s${side}`);
  return rate;
}

function figure(ours: readonly number[], theirs: readonly number[]): Figure {
  return {
    name: NAME,
    unit: "/s",
    value: median(ours),
    peer: { name: PEER, value: median(theirs) },
    ratio: median(ours.map((value, i) => value / (theirs[i] ?? Number.NaN))),
    samples: ours.length,
    wrong: ours.some((rate) => !(rate > 0)) ? ["nothing arrived"] : [],
    notes: { "middle half, ours": spread(ours), "middle half, theirs": spread(theirs) },
  };
}

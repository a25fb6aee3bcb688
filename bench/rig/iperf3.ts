import { availableParallelism } from "node:os";
import { inNetns } from "../../src/lab/net/ip.ts";
import { execOk } from "../../src/lab/process/exec.ts";
import type { Rig } from "./rig.ts";

export const IPERF3 = "/usr/bin/iperf3";

/** Who sends or receives: a namespace and its IPv4 address. */
export interface Place {
  readonly netns: string;
  readonly ip: string;
}

/** What arrived of UDP. */
export interface Datagrams {
  readonly gbits: number;
  readonly perSecond: number;
}

/** Has all of them listen; they end with the rig. */
export async function serveIperf3(rig: Rig, places: readonly Place[]): Promise<void> {
  for (const { netns, ip } of places) await rig.daemon(`iperf3-${ip}`, netns, [IPERF3, "-s", "-4"]);
  await new Promise((resolve) => setTimeout(resolve, 500)); // until they listen
}

/** Gbit/s that arrived over one TCP connection. */
export async function tcpGbits(from: Place, to: Place, seconds: number): Promise<number> {
  const { sum_received } = await run(from, to, seconds, []);
  return (sum_received?.bits_per_second ?? Number.NaN) / 1e9;
}

/** Datagrams of `bytes`, sent as fast as one process can. */
export async function udpRate(from: Place, to: Place, seconds: number, bytes: number): Promise<Datagrams> {
  const { sum } = await run(from, to, seconds, ["-u", "-b", "0", "-l", String(bytes)]);
  const arrived = (sum?.packets ?? Number.NaN) - (sum?.lost_packets ?? Number.NaN);
  const perSecond = arrived / (sum?.seconds ?? Number.NaN);
  return { perSecond, gbits: (perSecond * bytes * 8) / 1e9 };
}

interface End {
  readonly sum_received?: { readonly bits_per_second: number };
  /** Of UDP, as the receiver saw it. */
  readonly sum?: { readonly seconds: number; readonly packets: number; readonly lost_packets: number };
}

async function run(from: Place, to: Place, seconds: number, more: readonly string[]): Promise<End> {
  // Sender and receiver on processors of their own: where the scheduler puts them moves the result more than the wiring.
  const pin = availableParallelism() >= 2 ? ["-A", "0,1"] : [];
  const argv = [...inNetns(from.netns), IPERF3, "-c", to.ip, "-t", String(seconds), "-J", ...more, ...pin];
  return (JSON.parse(await execOk(argv, { timeoutMs: (seconds + 20) * 1000 })) as { end: End }).end;
}

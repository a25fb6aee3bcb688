import { spawn } from "node:child_process";
import { once } from "node:events";
import { inNetns, NETNS_DIR } from "../../src/lab/net/ip.ts";
import { exec, execOk } from "../../src/lab/process/exec.ts";

/** What a run of traffic lost. */
export interface Losses {
  /** Echo requests without an answer. */
  readonly pings: number;
  /** TCP segments that were sent again because the first did not arrive. */
  readonly segments: number;
  /** Bytes that a flow at a fixed rate should have carried and did not, beyond a hundredth. */
  readonly missing: number;
}

export interface Flow {
  /** Names under /run/netns. */
  readonly from: string;
  readonly to: string;
  readonly addresses: readonly string[];
}

const PING_MS = 2;
const BITS_PER_SECOND = 20_000_000;

/** A TCP transfer at a fixed rate to the first address, and a ping every 2 ms to each, for `seconds` (an integer). */
export async function runTraffic(flows: readonly Flow[], seconds: number): Promise<Losses> {
  const sources = [...new Set(flows.map((flow) => flow.from))];
  const before = await Promise.all(sources.map(lostSegments));
  const parts = await Promise.all(
    flows.flatMap((flow, i) => [
      transfer(flow, 5300 + i, seconds),
      ...flow.addresses.map((to) => ping(flow, to, seconds)),
    ]),
  );
  const after = await Promise.all(sources.map(lostSegments));
  const sum = (of: keyof Losses) => parts.reduce((total, part) => total + (part[of] ?? 0), 0);
  const segments = after.reduce((total, lost, i) => total + Math.max(0, lost - (before[i] ?? 0)), 0);
  return { pings: sum("pings"), segments, missing: sum("missing") };
}

/**
 * Retransmissions less those of which the receiver said that it had the segment already (RFC 2883): where the sender was
 * only impatient, as it is on a busy machine, nothing was lost.
 */
async function lostSegments(netns: string): Promise<number> {
  const text = await execOk([...inNetns(netns), "nstat", "-aszj", "TcpRetransSegs", "TcpExtTCPDSACKRecv"]);
  const { kernel } = JSON.parse(text) as { kernel: Record<string, number> };
  return (kernel["TcpRetransSegs"] ?? 0) - (kernel["TcpExtTCPDSACKRecv"] ?? 0);
}

async function ping({ from }: Flow, to: string, seconds: number): Promise<Partial<Losses>> {
  const count = Math.floor((seconds * 1000) / PING_MS);
  const argv = ["ping", "-n", "-q", "-i", String(PING_MS / 1000), "-c", String(count), "-W", "1", to];
  const { stdout, stderr } = await exec([...inNetns(from), ...argv]);
  // "1000 packets transmitted, 1000 received, 0% packet loss, time 1998ms"
  const [, transmitted, received] = /(\d+) packets transmitted, (\d+) received/.exec(stdout) ?? [];
  if (transmitted === undefined) throw new Error(`ping ${to}: ${stderr || stdout}`);
  return { pings: Number(transmitted) - Number(received) };
}

interface IperfReport {
  readonly error?: string;
  readonly end: {
    readonly sum_received: { readonly bytes: number };
  };
}

async function transfer({ from, to, addresses }: Flow, port: number, seconds: number): Promise<Partial<Losses>> {
  const argv = [`--net=${NETNS_DIR}/${to}`, "--", "iperf3", "-s", "-1", "-p", String(port), "--forceflush"];
  const server = spawn("nsenter", argv, { stdio: ["ignore", "pipe", "inherit"] });
  try {
    await once(server.stdout, "data"); // it says that it listens
    const client = ["iperf3", "-J", "-c", addresses[0] ?? "", "-p", String(port), "-t", String(seconds)];
    const report = JSON.parse(
      await execOk([...inNetns(from), ...client, "-b", String(BITS_PER_SECOND)]),
    ) as IperfReport;
    if (report.error) throw new Error(`iperf3: ${report.error}`);
    const expected = ((BITS_PER_SECOND / 8) * seconds * 99) / 100;
    return { missing: Math.max(0, Math.round(expected - report.end.sum_received.bytes)) };
  } finally {
    server.kill("SIGKILL");
  }
}

import { randomBytes } from "node:crypto";
import { readdir, readFile, rm, writeFile } from "node:fs/promises";
import { type Clock, millis, sleep, systemClock } from "../../../base/clock/clock.ts";
import { errnoOf, toError } from "../../../base/errors/errors.ts";
import { isNotFound, type VppApi } from "../binapi/index.ts";
import { installFilter } from "./classifier.ts";
import { DiagnosisError } from "./errors.ts";
import type { NamedInterface } from "./interface-names.ts";
import type { PacketFilter } from "./packet-filter.ts";

/** Which packets to capture, and how long. */
export interface CaptureRequest {
  readonly count: number;
  /** All interfaces if absent. */
  readonly interface?: NamedInterface;
  readonly filter?: PacketFilter;
  /** Packets that VPP drops, as well: at the point where it does. */
  readonly drops: boolean;
  /** Of each packet. */
  readonly maxBytes: number;
  /** Ends the capture; what there is by then is written. */
  readonly signal: AbortSignal;
  readonly clock?: Clock;
}

const POLL = millis(100);
const ALL_INTERFACES = 0;

/**
 * Captures packets as they come in and go out, into a file here. VPP itself writes below its own /tmp only; the file is
 * fetched from there, also if VPP runs in another mount namespace, and removed. Returns the number of packets.
 * @throws DiagnosisError `BUSY` if a capture is running: VPP has one
 */
export async function capturePackets(
  api: Pick<VppApi, "request" | "requestAny" | "cli">,
  file: string,
  request: CaptureRequest,
): Promise<number> {
  const { count, signal, clock = systemClock } = request;
  if ((await captured(api)) !== undefined) {
    throw new DiagnosisError("BUSY", `this VPP is capturing already; "vpp cli -- pcap trace off" ends that`);
  }
  await writeFile(file, EMPTY_PCAP); // fails now rather than when there is something to lose
  await using _filter = request.filter && (await installFilter(api, "pcap", request.filter));
  const filename = `heddle-${randomBytes(8).toString("hex")}.pcap`;
  await api.request("pcap_trace_on", {
    capture_rx: true,
    capture_tx: true,
    capture_drop: request.drops,
    filter: request.filter !== undefined,
    preallocate_data: false,
    free_data: true,
    max_packets: count,
    max_bytes_per_packet: request.maxBytes,
    sw_if_index: request.interface?.swIfIndex ?? ALL_INTERFACES,
    filename,
  });
  let packets = 0;
  try {
    while (!signal.aborted && packets < count) {
      await sleep(clock, POLL, signal).catch(() => {}); // the end of the wait is no error
      packets = (await captured(api)) ?? 0;
    }
  } finally {
    packets = await stop(api, packets);
  }
  if (packets > 0) await fetchFile(filename, file);
  return packets;
}

/** VPP writes the file now; none if there is nothing to write. */
async function stop(api: Pick<VppApi, "request" | "cli">, atLeast: number): Promise<number> {
  const packets = (await captured(api)) ?? atLeast;
  try {
    await api.request("pcap_trace_off", {});
  } catch (e) {
    if (!isNotFound(e)) throw e;
    return 0;
  }
  return packets;
}

async function captured(api: Pick<VppApi, "cli">): Promise<number | undefined> {
  return parseCaptureStatus(await api.cli("pcap trace status"));
}

/**
 * Packets of the capture that is running, if one is:
 *
 *     pcap rx and tx dispatch capture enabled: 3 of 100 pkts...
 *     capture to file /tmp/a.pcap
 */
export function parseCaptureStatus(text: string): number | undefined {
  const packets = /capture enabled: (\d+) of \d+ pkts/.exec(text)?.[1];
  return packets === undefined ? undefined : Number(packets);
}

/** Version 2.4, no zone, 64 KiB snapshots, Ethernet; what VPP writes before the packets. */
const EMPTY_PCAP = Buffer.from("d4c3b2a1020004000000000000000000ffff000001000000", "hex");

/** The name is ours alone, so whichever VPP has it is the one. */
async function fetchFile(name: string, to: string): Promise<void> {
  for (const root of ["", ...(await vppRoots())]) {
    const path = `${root}/tmp/${name}`;
    let bytes: Buffer;
    try {
      bytes = await readFile(path);
    } catch (e) {
      if (errnoOf(e) === "ENOENT") continue;
      throw new DiagnosisError("FAILED", `cannot read VPP's ${path}: ${toError(e).message}`, { cause: e });
    }
    await rm(path, { force: true });
    await writeFile(to, bytes);
    return;
  }
  throw new DiagnosisError("FAILED", `VPP wrote /tmp/${name}, but no VPP process on this machine shows such a file`);
}

/** The file systems of the VPPs on this machine, as their processes see them. */
async function vppRoots(): Promise<string[]> {
  const roots: string[] = [];
  for (const pid of await readdir("/proc")) {
    if (!/^\d+$/.test(pid)) continue;
    const comm = await readFile(`/proc/${pid}/comm`, "utf8").catch(() => ""); // it ended meanwhile
    if (comm.startsWith("vpp")) roots.push(`/proc/${pid}/root`);
  }
  return roots;
}

import { Command } from "commander";
import type { VppClient } from "../../dataplane/vpp/binapi/index.ts";
import type { PacketFilter } from "../../dataplane/vpp/diagnosis/packet-filter.ts";
import { wholeNumber } from "../options.ts";
import { enough, podNames, type VppOptions, vppOptions, withVpp } from "./client.ts";
import { filterArgument } from "./trace.ts";

interface CaptureOptions extends VppOptions {
  readonly output: string;
  readonly interface?: string;
  readonly count: number;
  readonly seconds: number;
  readonly bytes: number;
  readonly filter?: PacketFilter;
  readonly drops?: boolean;
}

/** `heddlectl vpp capture`: packets into a file for tcpdump or Wireshark. */
export function captureCommand(): Command {
  return vppOptions(new Command("capture"))
    .description("capture packets as they come in and go out, into a pcap file here; Ctrl-C ends it")
    .requiredOption("-o, --output <file>", "where to write it")
    .option("--interface <name>", "only of this one: its pod, our name, VPP's name, or its number")
    .option("--count <n>", "so many packets", wholeNumber(1, 1_000_000), 1000)
    .option("--seconds <s>", "no longer than this", wholeNumber(1, 3600), 30)
    .option("--bytes <n>", "of each packet", wholeNumber(32, 9000), 9000)
    .option("--filter <host/proto/port>", "only these, either way: 10.1.2.3/tcp/80, */icmp", filterArgument)
    .option("--drops", "packets where VPP drops them, as well")
    .action((options: CaptureOptions) => withVpp(options, (vpp) => capture(vpp, options)));
}

async function capture(vpp: VppClient, options: CaptureOptions): Promise<void> {
  const [{ capturePackets }, { InterfaceNames }] = await Promise.all([
    import("../../dataplane/vpp/diagnosis/capture.ts"),
    import("../../dataplane/vpp/diagnosis/interface-names.ts"),
  ]);
  const { output, count, bytes: maxBytes, filter, drops = false } = options;
  const only =
    options.interface === undefined
      ? undefined
      : (await InterfaceNames.read(vpp, await podNames(options))).find(options.interface);
  const packets = await enough(options.seconds, (signal) =>
    capturePackets(vpp, output, {
      count,
      maxBytes,
      drops,
      signal,
      ...(only && { interface: only }),
      ...(filter && { filter }),
    }),
  );
  process.stderr.write(`${packets} packet${packets === 1 ? "" : "s"} in ${output}\n`);
}

import { Command, InvalidArgumentError } from "commander";
import type { VppClient } from "../../dataplane/vpp/binapi/index.ts";
import { type PacketFilter, parsePacketFilter } from "../../dataplane/vpp/diagnosis/packet-filter.ts";
import type { PacketPath } from "../../dataplane/vpp/diagnosis/packet-path.ts";
import { outputOption, wholeNumber } from "../options.ts";
import { CliExit, ExitCode, type OutputFormat, print } from "../output.ts";
import { enough, podNames, type VppOptions, vppOptions, withVpp } from "./client.ts";

interface TraceOptions extends VppOptions {
  readonly interface?: string;
  readonly count: number;
  readonly seconds: number;
  readonly filter?: PacketFilter;
  readonly node?: string[];
  readonly output: OutputFormat;
}

/** For an option. */
export function filterArgument(text: string): PacketFilter {
  try {
    return parsePacketFilter(text);
  } catch (e) {
    throw new InvalidArgumentError((e as Error).message);
  }
}

/** `heddlectl vpp trace`: the paths of packets through VPP's graph. */
export function traceCommand(): Command {
  return vppOptions(new Command("trace"))
    .description("trace packets through VPP and print what each node decided; Ctrl-C ends it")
    .option("--interface <name>", "only packets in or out through it: its pod, our name, VPP's name, or its number")
    .option("--count <n>", "so many packets", wholeNumber(1, 10_000), 10)
    .option("--seconds <s>", "no longer than this", wholeNumber(1, 3600), 30)
    .option(
      "--filter <host/proto/port>",
      "only these, either way, as they come in: 10.1.2.3/tcp/80, */icmp",
      filterArgument,
    )
    .option("--node <name...>", "begin at these nodes of the graph; at all drivers if absent")
    .addOption(outputOption())
    .action((options: TraceOptions) => withVpp(options, (vpp) => trace(vpp, options)));
}

async function trace(vpp: VppClient, options: TraceOptions): Promise<void> {
  const [{ InterfaceNames }, { packetPath, pathText }, { learnAclTags, tracePackets }] = await Promise.all([
    import("../../dataplane/vpp/diagnosis/interface-names.ts"),
    import("../../dataplane/vpp/diagnosis/packet-path.ts"),
    import("../../dataplane/vpp/diagnosis/tracer.ts"),
  ]);
  const { count, filter, node, output } = options;
  const names = await InterfaceNames.read(vpp, await podNames(options));
  const only = options.interface === undefined ? undefined : names.find(options.interface);
  const acls = new Map<number, string>();
  const paths: PacketPath[] = [];
  await enough(options.seconds, async (signal) => {
    const request = {
      count,
      signal,
      ...(only && { interface: only }),
      ...(filter && { filter }),
      ...(node && { nodes: node }),
    };
    for await (const nodes of tracePackets(vpp, names, request)) {
      await learnAclTags(vpp, nodes, acls);
      const path = packetPath(nodes, { names, acls });
      paths.push(path);
      // Each one as it comes: whoever looks for a fault makes the traffic meanwhile.
      if (output === "table") process.stdout.write(`${pathText(path, paths.length)}\n\n`);
    }
  });
  if (output !== "table") await print(paths, output, () => "");
  if (paths.length === 0) throw new CliExit(ExitCode.FAILED, "no such packet came in");
}

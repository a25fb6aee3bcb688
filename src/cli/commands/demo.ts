import { randomBytes } from "node:crypto";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Command, Option } from "commander";
import type { DataplaneChoice, Overlay, StoreChoice } from "../../lab/state/state.ts";
import { interruptible } from "../interrupt.ts";
import { outputOption, wholeNumber } from "../options.ts";
import { CliExit, ExitCode, type OutputFormat, print } from "../output.ts";

interface DemoFlags {
  readonly state?: string;
  readonly nodes: number;
  readonly pods: number;
  readonly dataplane: DataplaneChoice;
  readonly store?: StoreChoice;
  readonly overlay: Overlay;
  readonly mtu: number;
  readonly keep?: boolean;
  readonly output: OutputFormat;
  readonly breakRoute?: string;
  readonly leaveNamespace?: boolean;
  readonly expectWrong?: string;
}

const howToLook = (dir: string): string => `
The lab is up. To look around:
  heddlectl lab status --state ${dir}
  heddlectl lab exec --state ${dir} demo/n1-p1 -- ip addr
  heddlectl lab exec --state ${dir} n1 -- nft list ruleset
  heddlectl status --state ${dir} --node n1
  heddlectl lab add-pod --state ${dir} demo/mine --node n1
and to remove it:
  heddlectl lab down --state ${dir}
(in a clone: npx heddlectl …)`;

async function demo(flags: DemoFlags): Promise<void> {
  const { runDemo } = await import("../../lab/demo/demo.ts");
  const { formatReport } = await import("../../lab/demo/report.ts");
  const dir = flags.state ?? join(tmpdir(), `hd-demo-${randomBytes(4).toString("hex")}`);
  const started = performance.now();
  const progress = (line: string): void => {
    process.stderr.write(`[${((performance.now() - started) / 1000).toFixed(1).padStart(5)} s] ${line}\n`);
  };
  const { nodes, pods, dataplane, overlay, mtu, keep = false } = flags;
  const faults = {
    ...(flags.breakRoute === undefined ? {} : { breakRoute: flags.breakRoute }),
    ...(flags.expectWrong === undefined ? {} : { expectWrong: flags.expectWrong }),
    leaveNamespace: flags.leaveNamespace === true,
  };
  const store = flags.store ?? "auto";
  const report = await interruptible(`heddlectl lab down --state ${dir}`, (signal) =>
    runDemo({ dir, nodes, pods, dataplane, store, overlay, mtu, keep, faults, signal, progress }),
  );
  await print(report, flags.output, (r) => `\n${formatReport(r)}`);
  if (keep) process.stderr.write(`${howToLook(dir)}\n`);
  if (!report.ok) throw new CliExit(ExitCode.FAILED, `demo failed: ${report.problems[0]}`);
}

export function demoCommand(): Command {
  return new Command("demo")
    .description("two nodes and their pods on this machine: every connection tried, then everything removed")
    .option("--nodes <n>", "number of nodes", wholeNumber(1, 200), 2)
    .option("--pods <n>", "pods on each node", wholeNumber(1, 250), 3)
    .addOption(
      new Option("--dataplane <name>", "what moves the packets").choices(["linux", "vpp", "mixed"]).default("linux"),
    )
    .addOption(
      new Option("--store <kind>", "etcd where it is installed, else embedded, unless given").choices([
        "etcd",
        "embedded",
      ]),
    )
    .addOption(new Option("--overlay <kind>", "between nodes").choices(["vxlan", "none"]).default("vxlan"))
    .option("--mtu <bytes>", "of the underlay", wholeNumber(1280, 65_535), 1500)
    .option("--keep", "leave the lab up, and say how to look around")
    .option("--state <dir>", "where the lab keeps its state; a new directory under the temporary one if absent")
    .addOption(outputOption())
    .addOption(
      new Option("--break-route [target]", "try the demo out: remove routes of a node or pod")
        .preset("n1")
        .helpGroup("Faults:"),
    )
    .addOption(new Option("--leave-namespace", "try the demo out: leave a namespace behind").helpGroup("Faults:"))
    .addOption(
      new Option(
        "--expect-wrong <cell>",
        "try the demo out: expect no answer from a cell, n1-p1>n2-p1/tcp/ipv4",
      ).helpGroup("Faults:"),
    )
    .action(demo);
}

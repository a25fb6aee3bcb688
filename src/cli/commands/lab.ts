import { spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import { constants } from "node:os";
import { Command, Option } from "commander";
import type { Lab } from "../../lab/lab.ts";
import type { DataplaneChoice, Overlay, PodRecord, StoreChoice } from "../../lab/state/state.ts";
import type { LabStatus } from "../../lab/status.ts";
import { interruptible } from "../interrupt.ts";
import { outputOption, wholeNumber } from "../options.ts";
import { CliExit, ExitCode, type OutputFormat, print, type Rows } from "../output.ts";

interface StateOption {
  readonly state: string;
}

const stateOption = (): Option =>
  new Option("--state <dir>", "where the lab keeps its state").env("HEDDLE_LAB_STATE").makeOptionMandatory();

const progress = (line: string): void => void process.stderr.write(`${line}\n`);

/** Opens the lab for one command; the agents and the store go on when it ends. */
async function withLab<T>(dir: string, body: (lab: Lab) => Promise<T>): Promise<T> {
  const { Lab } = await import("../../lab/lab.ts");
  await using lab = Lab.open(dir);
  return await body(lab);
}

interface UpFlags extends StateOption {
  readonly nodes: number;
  readonly pods: number;
  readonly dataplane: DataplaneChoice;
  readonly store?: StoreChoice;
  readonly overlay: Overlay;
  readonly policies: boolean;
  readonly mtu: number;
  readonly output: OutputFormat;
}

async function up(flags: UpFlags): Promise<void> {
  const { Lab } = await import("../../lab/lab.ts");
  const finish = `heddlectl lab down --state ${flags.state}`;
  await interruptible(finish, async (signal) => {
    const { nodes, dataplane, overlay, policies, mtu } = flags;
    const store = flags.store ?? "auto";
    const lab = await Lab.up({ dir: flags.state, nodes, dataplane, store, overlay, policies, mtu, signal, progress });
    try {
      for (const node of lab.state().nodes) {
        for (let i = 1; i <= flags.pods; i++) await lab.addPod(`default/${node.name}-p${i}`, node.name, { signal });
      }
      await lab.close();
    } catch (e) {
      await lab.down();
      throw e;
    }
    await print(lab.status(), flags.output, statusRows);
    if (flags.output === "table") progress(`in force; "${finish}" removes it`);
  });
}

function upCommand(): Command {
  return new Command("up")
    .description("build a lab; returns when every agent is ready")
    .addOption(stateOption())
    .option("--nodes <n>", "number of nodes", wholeNumber(1, 200), 2)
    .option("--pods <n>", "pods to create on each node", wholeNumber(0, 250), 0)
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
    .option("--no-policies", "enforce no NetworkPolicies, and reflect no objects; see lab apply")
    .option("--mtu <bytes>", "of the underlay", wholeNumber(1280, 65_535), 1500)
    .addOption(outputOption())
    .action(up);
}

const pid = (n: number | null): string => (n === null ? "not running" : String(n));

/** The lab's status for people: three tables in one. */
export function statusRows(status: LabStatus): Rows {
  const pods = status.nodes.flatMap((n) =>
    n.pods.map((p) => [`${p.namespace}/${p.name}`, n.name, p.netns, p.ips.join(", ") || "-"]),
  );
  return [
    ["LAB", "PHASE", "STORE", "PID"],
    [status.id, status.phase, status.store, pid(status.storePid)],
    [],
    ["NODE", "DATAPLANE", "NAMESPACE", "UNDERLAY", "AGENT", "VPP"],
    ...status.nodes.map((n) => [
      ...[n.name, n.dataplane, n.netns, n.underlay.join(", "), pid(n.agentPid)],
      n.dataplane === "vpp" ? pid(n.vppPid) : "-",
    ]),
    ...(pods.length === 0 ? [] : [[], ["POD", "NODE", "NAMESPACE", "ADDRESSES"], ...pods]),
  ];
}

const podRows = (pod: PodRecord): Rows => [
  ["POD", "NODE", "NAMESPACE", "ADDRESSES"],
  [`${pod.namespace}/${pod.name}`, pod.node, pod.netns, pod.ips.join(", ")],
];

interface AddPodFlags extends StateOption {
  readonly node: string;
  readonly labels: string;
  readonly annotations: string;
  readonly runtimeConfig?: string;
  readonly output: OutputFormat;
}

function parseRuntimeConfig(text: string): Record<string, unknown> {
  try {
    const parsed: unknown = JSON.parse(text);
    if (typeof parsed === "object" && parsed !== null && !Array.isArray(parsed)) return { ...parsed };
  } catch {
    // the same answer as for JSON of another shape
  }
  throw new CliExit(ExitCode.USAGE, `--runtime-config is a JSON object, such as {"mac":"02:00:00:00:00:01"}`);
}

async function addPod(name: string, flags: AddPodFlags): Promise<void> {
  const { parseAnnotations, parseLabels } = await import("../../lab/names.ts");
  const labels = parseLabels(flags.labels);
  const annotations = parseAnnotations(flags.annotations);
  const runtimeConfig = flags.runtimeConfig === undefined ? {} : parseRuntimeConfig(flags.runtimeConfig);
  await withLab(flags.state, async (lab) => {
    const pod = await interruptible(`heddlectl lab del-pod ${name}`, (signal) =>
      lab.addPod(name, flags.node, { labels, annotations, runtimeConfig, signal }),
    );
    await print(pod, flags.output, podRows);
  });
}

function leaveToChild(): void {}

/** Runs a command on this terminal, in a namespace of the lab, and passes its exit status on. */
async function execIn(target: string, argv: string[], flags: StateOption): Promise<void> {
  const code = await withLab(flags.state, (lab) => {
    const { argv: full, env } = lab.command(target, argv);
    const [file = "", ...args] = full;
    const child = spawn(file, args, { stdio: "inherit", env: { ...process.env, ...env } });
    // Ctrl-C is the command's to answer; the terminal sends it to both.
    process.on("SIGINT", leaveToChild);
    return new Promise<number>((resolve, reject) => {
      child.on("error", reject);
      child.on("close", (status, signal) => resolve(status ?? 128 + (signal ? constants.signals[signal] : 0)));
    }).finally(() => process.off("SIGINT", leaveToChild));
  });
  if (code !== 0) throw new CliExit(code);
}

async function down(flags: StateOption): Promise<void> {
  const { Lab } = await import("../../lab/lab.ts");
  const { existed, left } = await Lab.down(flags.state);
  if (!existed) progress(`no lab in ${flags.state}`);
  if (left.length > 0) throw new CliExit(ExitCode.FAILED, `left behind: ${left.join("; ")}`);
}

export function labCommand(): Command {
  const lab = new Command("lab").description("a cluster in network namespaces on this machine");
  lab.addCommand(upCommand());
  lab
    .command("status")
    .description("what there is: store, nodes, agents, pods")
    .addOption(stateOption())
    .addOption(outputOption())
    .action((flags: StateOption & { output: OutputFormat }) =>
      withLab(flags.state, async (l) => print(l.status(), flags.output, statusRows)),
    );
  lab
    .command("exec <target> <command...>")
    .description("run a command in a pod (NAMESPACE/NAME), a node, outside or fabric: lab exec default/web -- ip a")
    .addOption(stateOption())
    .action(execIn);
  lab
    .command("add-pod <name>")
    .description("create a pod (NAMESPACE/NAME) by executing the CNI plugin")
    .addOption(stateOption())
    .requiredOption("--node <name>", "where")
    .option("--labels <k=v,...>", "the pod's labels", "")
    .option("--annotations <k=v,...>", "the pod's annotations, such as heddle.dev/interfaces=memif1/memif", "")
    .option("--runtime-config <json>", "capabilities for the plugin: portMappings, bandwidth, ips, mac")
    .addOption(outputOption())
    .action(addPod);
  lab
    .command("del-pod <name>")
    .description("CNI DEL, then remove the pod's namespace")
    .addOption(stateOption())
    .action((name: string, flags: StateOption) => withLab(flags.state, (l) => l.delPod(name)));
  for (const [verb, done, what] of [
    ["apply", "applied", "put the objects of a YAML file (NetworkPolicy, Namespace, …) in place of a Kubernetes API's"],
    ["delete", "deleted", "remove the objects that a YAML file names"],
  ] as const) {
    lab
      .command(verb)
      .description(what)
      .addOption(stateOption())
      .requiredOption("-f, --file <file>", "the file; - is standard input")
      .action(({ state, file }: StateOption & { file: string }) =>
        withLab(state, async (l) => {
          const text = await readFile(file === "-" ? "/dev/stdin" : file, "utf8");
          for (const object of l.manifests[verb](text)) process.stdout.write(`${object} ${done}\n`);
        }),
      );
  }
  lab
    .command("restart <node> [part]")
    .description("kill -9 and start again a node's agent (the default) or vpp; prints the new pid")
    .addOption(stateOption())
    .option("--graceful", "SIGTERM instead of SIGKILL")
    .action(async (node: string, part: string | undefined, flags: StateOption & { graceful?: boolean }) => {
      if (part !== undefined && part !== "agent" && part !== "vpp") {
        throw new CliExit(ExitCode.USAGE, `"${part}" cannot be restarted: agent or vpp`);
      }
      await withLab(flags.state, async (l) => {
        const pid = await l.restart(node, part ?? "agent", { graceful: flags.graceful === true });
        process.stdout.write(`${pid}\n`);
      });
    });
  lab
    .command("switch <node>")
    .description("change a node's dataplane under its pods, which keep addresses and connections")
    .addOption(stateOption())
    .addOption(new Option("--dataplane <name>", "to which").choices(["linux", "vpp"]).makeOptionMandatory())
    .action(async (node: string, flags: StateOption & { dataplane: "linux" | "vpp" }) => {
      await withLab(flags.state, (l) =>
        interruptible(`heddlectl lab switch ${node} --dataplane ${flags.dataplane}`, (signal) =>
          l.switch(node, flags.dataplane, { signal }),
        ),
      );
      progress(`${node} runs the ${flags.dataplane} dataplane`);
    });
  lab
    .command("down")
    .description("remove everything; can be repeated, and works on what is left of a lab")
    .addOption(stateOption())
    .action(down);
  lab
    .command("store-serve", { hidden: true })
    .description("serve an embedded store: the lab's own process")
    .requiredOption("--dir <dir>", "where it keeps its data")
    .requiredOption("--socket <path>", "Unix socket to listen on")
    .action(async (flags: { dir: string; socket: string }) => {
      const { serveStore } = await import("../../lab/stores/serve.ts");
      await serveStore(flags.dir, flags.socket);
    });
  return lab;
}

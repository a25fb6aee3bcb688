// The CNI plugin that goes with toy-agent.ts: a routed veth made with `ip`. TOY_LEAK=1 makes DEL leave a route and its
// neighbour behind, which is what the demo must notice.
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

interface Conf {
  readonly cniVersion: string;
  readonly cniSocket: string;
}

const conf: Conf = JSON.parse(readFileSync(0, "utf8"));
const { CNI_COMMAND, CNI_CONTAINERID = "", CNI_NETNS = "", CNI_IFNAME = "" } = process.env;
const nodeDir = dirname(dirname(conf.cniSocket));
const node = nodeDir.slice(nodeDir.lastIndexOf("/") + 2);
const lab: { nodes: { name: string; netns: string }[] } = JSON.parse(
  readFileSync(join(nodeDir, "..", "..", "lab.json"), "utf8"),
);
const nodeNetns = lab.nodes.find((n) => n.name === `n${node}`)?.netns ?? "";
const pods = join(nodeDir, "state", "toy.json");
const known: Record<string, number> = existsSync(pods) ? JSON.parse(readFileSync(pods, "utf8")) : {};
const link = `hd${CNI_CONTAINERID.slice(0, 10)}`;
const batch = (netns: string, lines: string[]): void =>
  void execFileSync("ip", ["-n", netns, "-batch", "-"], { input: lines.join("\n") });

if (CNI_COMMAND === "ADD") {
  const index = Math.max(1, ...Object.values(known)) + 1;
  writeFileSync(pods, JSON.stringify({ ...known, [CNI_CONTAINERID]: index }));
  const v4 = `10.244.${node}.${index}`;
  const v6 = `fd10:244:0:${node}::${index}`;
  const podNetns = CNI_NETNS.slice(CNI_NETNS.lastIndexOf("/") + 1);
  const gatewayMac = "02:bb:00:00:00:01";
  batch(nodeNetns, [
    `link add ${link} address ${gatewayMac} type veth peer name ${CNI_IFNAME} netns ${podNetns}`,
    `link set ${link} up`,
    `addr add fe80::1/64 dev ${link} nodad`,
    `route add ${v4}/32 dev ${link}`,
    `route add ${v6}/128 dev ${link}`,
  ]);
  batch(podNetns, [
    `addr add ${v4}/32 dev ${CNI_IFNAME}`,
    `addr add ${v6}/128 dev ${CNI_IFNAME} nodad`,
    `link set ${CNI_IFNAME} up`,
    `neigh add 169.254.1.1 lladdr ${gatewayMac} dev ${CNI_IFNAME} nud permanent`,
    `route add 169.254.1.1 dev ${CNI_IFNAME}`,
    `route add default via 169.254.1.1 dev ${CNI_IFNAME}`,
    `route add default via fe80::1 dev ${CNI_IFNAME}`,
  ]);
  const podMac: { address: string }[] = JSON.parse(
    execFileSync("ip", ["-n", podNetns, "-j", "link", "show", "dev", CNI_IFNAME], { encoding: "utf8" }),
  );
  batch(nodeNetns, [
    `neigh add ${v4} lladdr ${podMac[0]?.address ?? ""} dev ${link} nud permanent`,
    `neigh add ${v6} lladdr ${podMac[0]?.address ?? ""} dev ${link} nud permanent`,
  ]);
  const ips = [{ address: `${v4}/32` }, { address: `${v6}/128` }];
  process.stdout.write(JSON.stringify({ cniVersion: conf.cniVersion, interfaces: [{ name: CNI_IFNAME }], ips }));
} else if (CNI_COMMAND === "DEL" && known[CNI_CONTAINERID] !== undefined) {
  try {
    batch(nodeNetns, [`link del ${link}`]);
  } catch {
    // it went with the pod's namespace
  }
  if (process.env["TOY_LEAK"] !== undefined || existsSync(join(nodeDir, "state", "leak"))) {
    batch(nodeNetns, [`route add 10.244.${node}.${known[CNI_CONTAINERID]}/32 dev eth0`]);
  }
  const { [CNI_CONTAINERID]: _gone, ...rest } = known;
  writeFileSync(pods, JSON.stringify(rest));
  if (Object.keys(rest).length === 0) rmSync(pods);
}

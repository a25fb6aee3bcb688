import type { ExecOptions } from "../process/exec.ts";
import { addNetns, ipBatch, setSysctls } from "./ip.ts";
import { fabricCommands, nodeCommands, nodePortCommands, outsideCommands } from "./plan.ts";

// Duplicate address detection would hold every link-local address back for a second; nobody else is on these links.
const NO_DAD = { "net.ipv6.conf.all.accept_dad": "0", "net.ipv6.conf.default.accept_dad": "0" };

const FABRIC_SYSCTLS = {
  ...NO_DAD,
  "net.ipv4.ip_forward": "1",
  "net.ipv6.conf.all.forwarding": "1",
  // The bridge is a wire between nodes: netfilter has no business with what crosses it.
  "net.bridge.bridge-nf-call-iptables?": "0",
  "net.bridge.bridge-nf-call-ip6tables?": "0",
  "net.bridge.bridge-nf-call-arptables?": "0",
};

/** Builds the network between the nodes: the fabric's bridge and router, and the outside host. */
export async function buildFabric(fabric: string, outside: string, mtu: number, options?: ExecOptions): Promise<void> {
  await addNetns(fabric, options);
  await addNetns(outside, options);
  await setSysctls(fabric, FABRIC_SYSCTLS);
  await setSysctls(outside, NO_DAD);
  await ipBatch(fabric, fabricCommands(outside, mtu), options);
  await ipBatch(outside, outsideCommands(), options);
}

/** A node's namespace, plugged into the fabric as its `eth0`. `index` counts from 1. */
export async function buildNode(
  fabric: string,
  node: { readonly name: string; readonly netns: string; readonly index: number },
  mtu: number,
  options?: ExecOptions,
): Promise<void> {
  await addNetns(node.netns, options);
  await setSysctls(node.netns, NO_DAD);
  await ipBatch(fabric, nodePortCommands(node.name, node.netns, mtu), options);
  await ipBatch(node.netns, nodeCommands(node.index), options);
}

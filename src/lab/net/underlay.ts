import { type ExecOptions, execOk } from "../process/exec.ts";
import { addNetns, inNetns, ipBatch, setSysctls } from "./ip.ts";
import { fabricCommands, nodeCommands, nodePort, nodePortCommands, OUTSIDE_PORT, outsideCommands } from "./plan.ts";

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

/**
 * Makes the fabric's side of a node, and of the outside host, behave like a cable: packets leave it with their checksums
 * filled in, and no longer than the MTU. A veth pair hands over what is left to be done by hardware that isn't there, which
 * a vSwitch that owns the node's `eth0` would send on as it is.
 */
export async function likeACable(fabric: string, node: string, options?: ExecOptions): Promise<void> {
  for (const port of [nodePort(node), OUTSIDE_PORT]) {
    await execOk([...inNetns(fabric), "ethtool", "-K", port, "tx", "off", "tso", "off", "gso", "off"], options);
  }
}

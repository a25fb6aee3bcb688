import { type PodRow, sandboxId } from "../../../src/pods/api.ts";
import { hostIfName } from "../../../src/pods/sandbox.ts";

/** A pod with addresses of both families and nothing special, but for what is given. */
export function podRow(more: Partial<PodRow> = {}): PodRow {
  const id = sandboxId("c1", "eth0");
  return {
    id,
    netns: "/run/netns/c1",
    netnsId: "4:1",
    ifName: "eth0",
    hostIf: hostIfName(id),
    ips: ["10.244.1.2", "fd10:244:0:1::2"],
    mac: "02:00:00:00:00:01",
    mtu: 1450,
    hostPorts: [],
    bandwidth: undefined,
    ...more,
  };
}

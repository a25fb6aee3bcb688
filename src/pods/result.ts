import type { PodRow } from "./api.ts";
import type { CniAddRequest } from "./cni/request.ts";
import { appendResult, type CniResult } from "./cni/result.ts";

type Gateways = { readonly ipv4: string; readonly ipv6: string };

/**
 * What ADD answers: the node's end, which a tap has not, and the pod's, one address a family on the latter, and a default route for each
 * through a link-local gateway. Addresses are /32 and /128: a pod shares no segment with anyone.
 */
export function podResult(row: PodRow, gateways: Gateways): CniResult {
  const families = row.ips.map((address) => (address.includes(":") ? "ipv6" : "ipv4"));
  const onNode = row.link === "tap" ? [] : [{ name: row.hostIf, mtu: row.mtu }];
  return {
    interfaces: [...onNode, { name: row.ifName, mac: row.mac, mtu: row.mtu, sandbox: row.netns }],
    ips: row.ips.map((address, i) => ({
      address: `${address}/${families[i] === "ipv6" ? 128 : 32}`,
      gateway: gateways[families[i] ?? "ipv4"],
      interface: onNode.length,
    })),
    routes: families.map((family) => ({
      dst: family === "ipv6" ? "::/0" : "0.0.0.0/0",
      gw: gateways[family],
      ...(row.routeMetric === undefined ? {} : { priority: row.routeMetric }),
    })),
    dns: {},
  };
}

/** {@link podResult} as the answer to a request: with its DNS settings, after what earlier plugins of the chain made. */
export function addResult(row: PodRow, gateways: Gateways, request: CniAddRequest): CniResult {
  const ours: CniResult = { ...podResult(row, gateways), dns: request.options.dns };
  return request.prevResult ? appendResult(request.prevResult, ours) : ours;
}

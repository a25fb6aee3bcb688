import type { KeyValue } from "../../../kvscheduler/api/descriptor.ts";
import { type NftElementValue, nftElementKey } from "../../../models/nft.ts";
import type { PodRow } from "../../../pods/api.ts";
import { SETS } from "../nodes/nft-base.ts";

/**
 * Elements of the maps that lead ports of the node to pods: `hostports4` for any address of the node, `hostports4_ip` for
 * one; the same for IPv6. The pair (pod, pod) in `hairpin4` has a pod that reaches itself through its own host port
 * translated, or it would answer itself from an address it did not ask.
 */
export function* hostPortItems(row: PodRow): Iterable<KeyValue> {
  if (row.hostPorts.length === 0) return;
  for (const ip of row.ips) {
    const family = ip.includes(":") ? 6 : 4;
    for (const { protocol, hostPort, containerPort, hostIp } of row.hostPorts) {
      const data = `${ip} . ${containerPort}`;
      const wildcard = hostIp === undefined || hostIp === "0.0.0.0" || hostIp === "::";
      if (wildcard) {
        // "0.0.0.0" asks for IPv4 only, "::" for IPv6 only, nothing for both.
        if (hostIp !== undefined && hostIp.includes(":") !== (family === 6)) continue;
        yield element({ set: SETS.hostPorts[family], key: `${protocol} . ${hostPort}`, data });
      } else if (hostIp.includes(":") === (family === 6)) {
        yield element({ set: SETS.hostPortsIp[family], key: `${hostIp} . ${protocol} . ${hostPort}`, data });
      }
    }
    yield element({ set: SETS.hairpin[family], key: `${ip} . ${ip}` });
  }
}

const element = (value: NftElementValue): KeyValue => ({ key: nftElementKey(value.set, value.key), value });

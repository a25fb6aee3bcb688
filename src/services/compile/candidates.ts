import { familyOf, type IpAddress, type IpFamily, isSpecialIp } from "../../base/ip/address.ts";
import type { Endpoint, EndpointSlice } from "../../models/k8s/endpoint-slice.ts";
import type { Service, ServicePort } from "../../models/k8s/service.ts";
import type { Here } from "../index/here.ts";
import { compareText } from "../names.ts";

/** An endpoint of a port of a service, before it is decided who may have it. */
export interface Candidate {
  readonly address: IpAddress;
  readonly port: number;
  readonly local: boolean;
  readonly onHost: boolean;
  /** Also one that is not, of a service that says not to look at that. */
  readonly ready: boolean;
  readonly endpoint: Endpoint;
  readonly slice: string;
}

/** Serves, but not for long: for when nobody else does. */
export const isLastResort = ({ ready, endpoint }: Candidate): boolean =>
  !ready && endpoint.serving && endpoint.terminating;

/** Why an endpoint's address is not used; "ok" if it is. */
export type AddressUse = "foreign-family" | "none" | "ok" | "special";

/** Of several addresses only the first counts, as for kube-proxy. */
export function addressUse({ addressType }: EndpointSlice, { addresses: [address] }: Endpoint): AddressUse {
  if (address === undefined) return "none";
  if (addressType !== undefined && (addressType === "IPv6") !== (familyOf(address) === 6)) return "foreign-family";
  return isSpecialIp(address) ? "special" : "ok";
}

export interface CandidatesFor {
  readonly service: Pick<Service, "publishNotReady">;
  readonly port: Pick<ServicePort, "name" | "protocol">;
  readonly family: IpFamily;
  readonly here: Here;
}

/** Each address and port once, sorted. An endpoint can be in two slices while it moves from one to the other. */
export function candidatesOf(slices: Iterable<EndpointSlice>, wanted: CandidatesFor): readonly Candidate[] {
  const found: Candidate[] = [];
  for (const slice of slices) {
    for (const { name, protocol, port } of slice.ports) {
      if (port === undefined || name !== wanted.port.name || protocol !== wanted.port.protocol) continue;
      for (const endpoint of slice.endpoints) {
        const address = usable(slice, endpoint, wanted.family);
        if (address !== undefined) found.push(candidateOf(slice, endpoint, address, port, wanted));
      }
    }
  }
  if (found.length < 2) return found;
  return found.sort(bestFirst).filter((c, i) => i === 0 || compareSocket(c, found[i - 1] ?? c) !== 0);
}

function usable(slice: EndpointSlice, endpoint: Endpoint, family: IpFamily): IpAddress | undefined {
  const [address] = endpoint.addresses;
  if (address === undefined || familyOf(address) !== family) return undefined;
  return addressUse(slice, endpoint) === "ok" ? address : undefined;
}

const candidateOf = (
  slice: EndpointSlice,
  endpoint: Endpoint,
  address: IpAddress,
  port: number,
  { service, here }: CandidatesFor,
): Candidate => ({
  address,
  port,
  local: endpoint.node === here.config.node,
  onHost: here.isNodeAddress(address),
  // "any agent which deals with endpoints for this Service should disregard any indications of ready/not-ready"
  ready: service.publishNotReady || endpoint.ready,
  endpoint,
  slice: slice.name,
});

const compareSocket = (a: Candidate, b: Candidate): number => compareText(a.address, b.address) || a.port - b.port;

/** Of one endpoint in several slices: the one that is here, then the one that is of most use. */
const bestFirst = (a: Candidate, b: Candidate): number =>
  compareSocket(a, b) || usefulness(b) - usefulness(a) || compareText(a.slice, b.slice);

const usefulness = ({ local, ready, endpoint: { serving, terminating } }: Candidate): number =>
  (local ? 8 : 0) + (ready ? 4 : 0) + (serving ? 2 : 0) + (terminating ? 0 : 1);

import type { ObjectName } from "../models/k8s/keys.ts";

/** What is wrong with an object. Never empty. */
export interface ServiceProblems {
  readonly object: ProblemObject;
  readonly problems: readonly ServiceProblem[];
}

export interface ProblemObject extends ObjectName {
  readonly kind: "EndpointSlice" | "Pod" | "Service" | "ServiceCIDR";
}

export interface ServiceProblem {
  readonly code: ProblemCode;
  /** Such as `spec.ports[1].nodePort`. */
  readonly at: string;
  readonly message: string;
  readonly effect: ProblemEffect;
}

export type ProblemEffect =
  /** Served as written. */
  | "none"
  /** What {@link ServiceProblem.at} names is left out, the rest is served. */
  | "part-ignored"
  /** Nothing of the object is served. */
  | "ignored";

export type ProblemCode =
  /** The object can't be read. */
  | "UNREADABLE"
  /** An older claim has the address and port; or a service what would be a pod's host port. */
  | "TAKEN"
  /** The service has another port of the same number. */
  | "PORT_TWICE"
  /** A cluster IP that is in no ServiceCIDR. */
  | "OUTSIDE_RANGE"
  /** An external IP that is a node's own. */
  | "NODE_ADDRESS"
  /** An address that no service or host port can be reached at, or no endpoint can have. */
  | "SPECIAL_ADDRESS"
  /** An address of a family that the service, or the slice, is not of. */
  | "FOREIGN_FAMILY"
  /** A source range or service CIDR that is no network. */
  | "BAD_NETWORK"
  /** Source ranges of one family only: who comes by the other one is not restricted. */
  | "UNRESTRICTED_FAMILY"
  | "BAD_ANNOTATION"
  /** A load balancer can't ask which nodes have endpoints. */
  | "NO_HEALTH_CHECK"
  /** A slice of a service that does not exist. */
  | "NO_SERVICE"
  /** Endpoints without a port. */
  | "NO_PORTS"
  /** A port of a slice without number. */
  | "NO_PORT_NUMBER"
  /** An address that several endpoints of the slice have. */
  | "DUPLICATE_ADDRESS"
  /** Of an endpoint's several addresses only the first counts. */
  | "SEVERAL_ADDRESSES"
  /** The store has an older version of the object than it had before. */
  | "STALE";

export const problemObjectText = ({ kind, namespace, name }: ProblemObject): string =>
  namespace === "" ? `${kind} ${name}` : `${kind} ${namespace}/${name}`;

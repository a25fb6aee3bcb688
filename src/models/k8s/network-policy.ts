import { z } from "zod";
import { k8sCodec, namespacedMeta, openObject, openRecord } from "./codec.ts";
import type { ObjectName } from "./keys.ts";
import { type LabelSelector, labelSelector } from "./selector.ts";

// The content of policies is kept as it was written, valid or not: whoever evaluates them must be able to name what is
// wrong and to fail closed. Absent and empty lists differ.

/** networking.k8s.io/v1 NetworkPolicy. */
export interface NetworkPolicy extends ObjectName {
  readonly uid: string;
  readonly podSelector: LabelSelector;
  readonly policyTypes?: readonly string[] | undefined;
  readonly ingress?: readonly NetworkPolicyRule[] | undefined;
  readonly egress?: readonly NetworkPolicyRule[] | undefined;
  /** Names of members of `spec` that this Heddle doesn't know, or whose type is wrong. Likewise in the parts. */
  readonly unknown?: readonly string[] | undefined;
}

export interface NetworkPolicyRule {
  /** `from` or `to`. Absent and empty both mean everyone. */
  readonly peers?: readonly NetworkPolicyPeer[] | undefined;
  /** Absent and empty both mean all traffic. */
  readonly ports?: readonly NetworkPolicyPort[] | undefined;
  readonly unknown?: readonly string[] | undefined;
}

export interface NetworkPolicyPeer {
  readonly podSelector?: LabelSelector | undefined;
  readonly namespaceSelector?: LabelSelector | undefined;
  readonly ipBlock?: IpBlock | undefined;
  readonly unknown?: readonly string[] | undefined;
}

export interface IpBlock {
  readonly cidr: string;
  readonly except?: readonly string[] | undefined;
  readonly unknown?: readonly string[] | undefined;
}

export interface NetworkPolicyPort {
  /** TCP, UDP or SCTP if it is valid; absent is TCP. */
  readonly protocol?: string | undefined;
  /** A number, or the name of a port of the pod that the traffic goes to; absent is every port of the protocol. */
  readonly port?: number | string | undefined;
  /** Last port of a range that begins with `port`. */
  readonly endPort?: number | undefined;
  readonly unknown?: readonly string[] | undefined;
}

const peer = openObject({
  podSelector: labelSelector.optional(),
  namespaceSelector: labelSelector.optional(),
  ipBlock: openObject({ cidr: z.string(), except: z.array(z.string()).optional() }).optional(),
});

const port = openObject({
  protocol: z.string().optional(),
  port: z.union([z.number(), z.string()]).optional(),
  endPort: z.number().optional(),
});

const rules = z.array(openObject({ peers: z.array(peer).optional(), ports: z.array(port).optional() })).optional();

export const networkPolicyCodec = k8sCodec<NetworkPolicy>(
  "networkpolicy",
  openRecord({
    ...namespacedMeta,
    podSelector: labelSelector,
    policyTypes: z.array(z.string()).optional(),
    ingress: rules,
    egress: rules,
  }),
);

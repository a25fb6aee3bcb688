import { z } from "zod";
import { clusterMeta, k8sCodec, openObject, openRecord } from "./codec.ts";
import type { ObjectName } from "./keys.ts";
import { type LabelSelector, labelSelector } from "./selector.ts";

// As NetworkPolicies, kept as written. `nodes` and `domainNames` peers are the experimental channel's: they are among the
// unknown members.

/** policy.networking.k8s.io/v1alpha2 ClusterNetworkPolicy. */
export interface ClusterNetworkPolicy extends ObjectName {
  readonly namespace: "";
  readonly uid: string;
  /** Admin or Baseline if it is valid. */
  readonly tier: string;
  /** 0 (first) to 1000 if it is valid. */
  readonly priority: number;
  readonly subject: ClusterSubject;
  readonly ingress?: readonly ClusterRule[] | undefined;
  readonly egress?: readonly ClusterRule[] | undefined;
  readonly unknown?: readonly string[] | undefined;
}

/** Exactly one member if it is valid. */
export interface ClusterSubject {
  readonly namespaces?: LabelSelector | undefined;
  readonly pods?: NamespacedPods | undefined;
  readonly unknown?: readonly string[] | undefined;
}

/** Pods by their labels, in namespaces by theirs. */
export interface NamespacedPods {
  readonly namespaceSelector: LabelSelector;
  readonly podSelector: LabelSelector;
  readonly unknown?: readonly string[] | undefined;
}

export interface ClusterRule {
  readonly name?: string | undefined;
  /** Accept, Deny or Pass if it is valid. */
  readonly action: string;
  /** `from` or `to`; at least one if it is valid. */
  readonly peers: readonly ClusterPeer[];
  /** Absent is all traffic. */
  readonly protocols?: readonly ClusterProtocol[] | undefined;
  readonly unknown?: readonly string[] | undefined;
}

/** Exactly one member if it is valid; `networks` in egress rules only. */
export interface ClusterPeer extends ClusterSubject {
  readonly networks?: readonly string[] | undefined;
}

/** Exactly one member if it is valid. */
export interface ClusterProtocol {
  readonly tcp?: ClusterPorts | undefined;
  readonly udp?: ClusterPorts | undefined;
  readonly sctp?: ClusterPorts | undefined;
  /** Name of a port, of whichever protocol, of the pod that the traffic goes to. */
  readonly destinationNamedPort?: string | undefined;
  readonly unknown?: readonly string[] | undefined;
}

/** The API's `destinationPort` lies one level deeper; there is nothing else. */
export interface ClusterPorts {
  readonly number?: number | undefined;
  readonly range?: { readonly start: number; readonly end: number } | undefined;
  readonly unknown?: readonly string[] | undefined;
}

const namespacedPods = openObject({ namespaceSelector: labelSelector, podSelector: labelSelector });
const subject = { namespaces: labelSelector.optional(), pods: namespacedPods.optional() };
const ports = openObject({
  number: z.number().optional(),
  range: z.object({ start: z.number(), end: z.number() }).optional(),
}).optional();

const rules = z
  .array(
    openObject({
      name: z.string().optional(),
      action: z.string(),
      peers: z.array(openObject({ ...subject, networks: z.array(z.string()).optional() })),
      protocols: z
        .array(openObject({ tcp: ports, udp: ports, sctp: ports, destinationNamedPort: z.string().optional() }))
        .optional(),
    }),
  )
  .optional();

export const clusterNetworkPolicyCodec = k8sCodec<ClusterNetworkPolicy>(
  "clusternetworkpolicy",
  openRecord({
    ...clusterMeta,
    tier: z.string(),
    priority: z.number(),
    subject: openObject(subject),
    ingress: rules,
    egress: rules,
  }),
);

import { type IpAddress, tryParseIp } from "../../base/ip/address.ts";
import { NAMESPACE_NAME_LABEL, type Namespace } from "../../models/k8s/namespace.ts";
import type { K8sNode } from "../../models/k8s/node.ts";
import { type NamedPort, POD_PHASES, PORT_PROTOCOLS, type Pod } from "../../models/k8s/pod.ts";
import type { ServiceCidr } from "../../models/k8s/service-cidr.ts";
import { clusterMetaOf, list, mapping, metaOf, oneOf, present, stringMap, text, texts, whole } from "./members.ts";

/** Annotations that are kept. */
const OWN_ANNOTATIONS = "heddle.dev/";
/** Heddle's own; undefined if there are none. */
export const ownAnnotations = (annotations: Readonly<Record<string, string>>): Record<string, string> | undefined => {
  const own = Object.entries(annotations).filter(([k]) => k.startsWith(OWN_ANNOTATIONS));
  return own.length > 0 ? Object.fromEntries(own) : undefined;
};
const MIRROR_ANNOTATION = "kubernetes.io/config.mirror";
/** The cluster autoscaler puts it on a node that it is going to remove. */
const LEAVING_TAINT = "ToBeDeletedByClusterAutoscaler";

/** Those that are addresses, each once. */
export const ipsOf = (candidates: readonly unknown[]): IpAddress[] => {
  const ips = candidates.flatMap((c) => (typeof c === "string" ? (tryParseIp(c) ?? []) : []));
  return [...new Set(ips)];
};

/** Throws {@link ConvertError} without a name. So do the others. */
export function toPod(object: unknown): Pod {
  const { namespace, name, uid, meta } = metaOf(object);
  const { spec: rawSpec, status: rawStatus } = mapping(object);
  const [spec, status] = [mapping(rawSpec), mapping(rawStatus)];
  const annotations = stringMap(meta["annotations"]);
  const podIps = list(status["podIPs"]).map((p) => mapping(p)["ip"]);
  return present({
    namespace,
    name,
    uid,
    mirrorOf: annotations[MIRROR_ANNOTATION],
    created: secondsOf(meta["creationTimestamp"]),
    labels: stringMap(meta["labels"]),
    node: text(spec["nodeName"]),
    hostNetwork: spec["hostNetwork"] === true,
    phase: oneOf(POD_PHASES, status["phase"]) ?? "Pending",
    terminating: text(meta["deletionTimestamp"]) !== undefined,
    ips: ipsOf(podIps.length > 0 ? podIps : [status["podIP"]]),
    ports: portsOf(spec),
    annotations: ownAnnotations(annotations),
  });
}

/** Times are RFC 3339 text from the API server, Date objects from its client library. */
export function msOf(time: unknown): number | undefined {
  const ms = time instanceof Date ? time.getTime() : typeof time === "string" ? Date.parse(time) : Number.NaN;
  return Number.isFinite(ms) ? ms : undefined;
}

export const secondsOf = (time: unknown): number => Math.floor((msOf(time) ?? 0) / 1000);

/** Init containers count if they keep running beside the others. */
function portsOf(spec: Readonly<Record<string, unknown>>): NamedPort[] {
  const sidecars = list(spec["initContainers"]).filter((c) => mapping(c)["restartPolicy"] === "Always");
  return [...sidecars, ...list(spec["containers"])].flatMap((container) =>
    list(mapping(container)["ports"]).flatMap((p): NamedPort[] => {
      const { name: rawName, protocol: rawProtocol = "TCP", containerPort } = mapping(p);
      const name = text(rawName);
      const protocol = oneOf(PORT_PROTOCOLS, rawProtocol);
      const port = whole(containerPort);
      if (name === undefined || !protocol || port === undefined || port < 1 || port > 65_535) return [];
      return [{ name, protocol, port }];
    }),
  );
}

export function toNamespace(object: unknown): Namespace {
  const { namespace, name, uid, meta } = clusterMetaOf(object);
  return present({
    namespace,
    name,
    uid,
    labels: { ...stringMap(meta["labels"]), [NAMESPACE_NAME_LABEL]: name },
    annotations: ownAnnotations(stringMap(meta["annotations"])),
  });
}

export function toNode(object: unknown): K8sNode {
  const { namespace, name, uid, meta } = clusterMetaOf(object);
  const { spec: rawSpec, status } = mapping(object);
  const spec = mapping(rawSpec);
  const addresses = list(mapping(status)["addresses"])
    .map(mapping)
    .filter((a) => a["type"] === "InternalIP" || a["type"] === "ExternalIP");
  const cidrs = texts(spec["podCIDRs"]);
  const isTainted = list(spec["taints"]).some((taint) => mapping(taint)["key"] === LEAVING_TAINT);
  return present({
    namespace,
    name,
    uid,
    labels: stringMap(meta["labels"]),
    addresses: ipsOf(addresses.map((a) => a["address"])),
    podCIDRs: cidrs.length > 0 ? cidrs : texts([spec["podCIDR"]]),
    leaving: meta["deletionTimestamp"] != null || isTainted ? true : undefined,
  });
}

/** networking.k8s.io/v1 ServiceCIDR. */
export function toServiceCidr(object: unknown): ServiceCidr {
  const { namespace, name, uid } = clusterMetaOf(object);
  return { namespace, name, uid, cidrs: texts(mapping(mapping(object)["spec"])["cidrs"]) };
}

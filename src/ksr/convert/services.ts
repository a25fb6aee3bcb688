import {
  ADDRESS_TYPES,
  type Endpoint,
  type EndpointPort,
  type EndpointSlice,
} from "../../models/k8s/endpoint-slice.ts";
import { PORT_PROTOCOLS } from "../../models/k8s/pod.ts";
import { SERVICE_TYPES, type Service, type ServicePort, TRAFFIC_POLICIES } from "../../models/k8s/service.ts";
import { ipsOf, msOf, ownAnnotations, secondsOf } from "./cluster.ts";
import { type Json, list, mapping, metaOf, oneOf, present, stringMap, text, texts, whole } from "./members.ts";

/** As the API server defaults it. */
const AFFINITY_SECONDS = 10_800;
const SERVICE_NAME_LABEL = "kubernetes.io/service-name";
const PROXY_NAME_LABEL = "service.kubernetes.io/service-proxy-name";
const TRIGGER_ANNOTATION = "endpoints.kubernetes.io/last-change-trigger-time";

const portOf = (v: unknown): number | undefined => {
  const n = whole(v);
  return n !== undefined && n >= 1 && n <= 65_535 ? n : undefined;
};

/** Throws {@link ConvertError} without a name. */
export function toService(object: unknown): Service {
  const { namespace, name, uid, meta } = metaOf(object);
  const { spec: rawSpec, status } = mapping(object);
  const labels = mapping(meta["labels"]);
  const spec = mapping(rawSpec);
  const type = oneOf(SERVICE_TYPES, spec["type"]) ?? "ClusterIP";
  const clusterIps = list(spec["clusterIPs"]);
  const ingress = list(mapping(mapping(status)["loadBalancer"])["ingress"]).map(mapping);
  // KEP-1860: with ipMode Proxy the load balancer must be reached even from inside.
  const [vips = [], proxied = []] = [false, true].map((byItself) =>
    ipsOf(ingress.filter((i) => (i["ipMode"] === "Proxy") === byItself).map((i) => i["ip"])),
  );
  return present({
    namespace,
    name,
    uid,
    created: secondsOf(meta["creationTimestamp"]) || undefined,
    type,
    clusterIps: type === "ExternalName" ? [] : ipsOf(clusterIps.length > 0 ? clusterIps : [spec["clusterIP"]]),
    externalIps: ipsOf(list(spec["externalIPs"])),
    loadBalancerIps: vips,
    proxiedIps: proxied.length > 0 ? proxied : undefined,
    sourceRanges: texts(spec["loadBalancerSourceRanges"]).map((r) => r.trim()),
    ports: list(spec["ports"]).flatMap((p) => servicePort(mapping(p))),
    internalTrafficPolicy: oneOf(TRAFFIC_POLICIES, spec["internalTrafficPolicy"]) ?? "Cluster",
    externalTrafficPolicy: oneOf(TRAFFIC_POLICIES, spec["externalTrafficPolicy"]) ?? "Cluster",
    healthCheckNodePort: portOf(spec["healthCheckNodePort"]),
    clientIpAffinity: affinityOf(spec),
    trafficDistribution: text(spec["trafficDistribution"]),
    publishNotReady: spec["publishNotReadyAddresses"] === true,
    // The label's presence is what counts, even without a value.
    proxyName: typeof labels[PROXY_NAME_LABEL] === "string" ? labels[PROXY_NAME_LABEL] : undefined,
    annotations: ownAnnotations(stringMap(meta["annotations"])),
  });
}

function servicePort(p: Json): ServicePort[] {
  const port = portOf(p["port"]);
  const protocol = oneOf(PORT_PROTOCOLS, p["protocol"] ?? "TCP");
  if (port === undefined || !protocol) return [];
  return [present({ name: text(p["name"]) ?? "", protocol, port, nodePort: portOf(p["nodePort"]) })];
}

function affinityOf(spec: Json): number | undefined {
  if (spec["sessionAffinity"] !== "ClientIP") return undefined;
  const seconds = whole(mapping(mapping(spec["sessionAffinityConfig"])["clientIP"])["timeoutSeconds"]);
  return seconds !== undefined && seconds > 0 ? seconds : AFFINITY_SECONDS;
}

/**
 * discovery.k8s.io/v1 EndpointSlice; undefined for one of host names, or of no service. Throws {@link ConvertError} without a
 * name.
 */
export function toEndpointSlice(object: unknown): EndpointSlice | undefined {
  const { namespace, name, uid, meta } = metaOf(object);
  const { addressType, ports, endpoints } = mapping(object);
  const service = text(mapping(meta["labels"])[SERVICE_NAME_LABEL]);
  if (service === undefined || addressType === "FQDN") return undefined;
  return present({
    namespace,
    name,
    uid,
    service,
    addressType: oneOf(ADDRESS_TYPES, addressType),
    generation: whole(meta["generation"]),
    triggered: msOf(mapping(meta["annotations"])[TRIGGER_ANNOTATION]),
    ports: list(ports).flatMap((p) => endpointPort(mapping(p))),
    endpoints: list(endpoints).flatMap((e) => endpoint(mapping(e))),
  });
}

function endpointPort(p: Json): EndpointPort[] {
  const protocol = oneOf(PORT_PROTOCOLS, p["protocol"] ?? "TCP");
  const port = portOf(p["port"]);
  if (!protocol || (p["port"] != null && port === undefined)) return [];
  return [present({ name: text(p["name"]) ?? "", protocol, port })];
}

function endpoint(e: Json): Endpoint[] {
  const addresses = ipsOf(list(e["addresses"]));
  if (addresses.length === 0) return [];
  const conditions = mapping(e["conditions"]);
  const hints = mapping(e["hints"]);
  const named = (v: unknown): string[] | undefined => {
    const names = list(v).flatMap((z) => text(mapping(z)["name"]) ?? []);
    return names.length > 0 ? names : undefined;
  };
  // "A nil value should be interpreted as "true"" for ready, as ready for serving, as "false" for terminating.
  const ready = conditions["ready"] !== false;
  return [
    present({
      addresses,
      ready,
      serving: typeof conditions["serving"] === "boolean" ? conditions["serving"] : ready,
      terminating: conditions["terminating"] === true,
      node: text(e["nodeName"]),
      zone: text(e["zone"]),
      forZones: named(hints["forZones"]),
      forNodes: named(hints["forNodes"]),
    }),
  ];
}

import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { convertObject } from "../../../../src/ksr/convert/convert.ts";
import { ConvertError } from "../../../../src/ksr/convert/members.ts";

const convert = (yaml: string): unknown => convertObject(parse(yaml))?.object;

describe("objects in the API server's form become models", () => {
  it("pods", () => {
    const pod = `
apiVersion: v1
kind: Pod
metadata:
  name: web
  namespace: x
  uid: 6d3b
  creationTimestamp: "2026-01-02T03:04:05Z"
  deletionTimestamp: "2026-01-02T04:04:05Z"
  labels: {app: web}
  annotations: {heddle.dev/interfaces: memif1/memif, kubectl.kubernetes.io/restartedAt: now, kubernetes.io/config.mirror: abcd}
spec:
  nodeName: n1
  initContainers:
  - {name: setup, ports: [{name: gone, containerPort: 1}]}
  - {name: proxy, restartPolicy: Always, ports: [{name: admin, containerPort: 15000}]}
  containers:
  - name: web
    image: web
    ports: [{name: http, containerPort: 8080}, {containerPort: 81}, {name: dns, protocol: UDP, containerPort: 53}, {name: bad, containerPort: 0}]
status: {phase: Running, podIP: 10.0.0.1, podIPs: [{ip: 10.0.0.1}, {ip: "fd00:0::1"}], hostIP: 192.0.2.1}`;
    expect(convert(pod)).toEqual({
      namespace: "x",
      name: "web",
      uid: "6d3b",
      mirrorOf: "abcd",
      created: 1_767_323_045,
      labels: { app: "web" },
      node: "n1",
      hostNetwork: false,
      phase: "Running",
      terminating: true,
      ips: ["10.0.0.1", "fd00::1"],
      ports: [
        { name: "admin", protocol: "TCP", port: 15_000 },
        { name: "http", protocol: "TCP", port: 8080 },
        { name: "dns", protocol: "UDP", port: 53 },
      ],
      annotations: { "heddle.dev/interfaces": "memif1/memif" },
    });
  });

  it("the least that a pod can be", () => {
    expect(convert("{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {hostNetwork: true}}")).toEqual({
      namespace: "default",
      name: "p",
      uid: "",
      created: 0,
      labels: {},
      hostNetwork: true,
      phase: "Pending",
      terminating: false,
      ips: [],
      ports: [],
    });
  });

  it("namespaces, always with the label of their name", () => {
    expect(convert("{apiVersion: v1, kind: Namespace, metadata: {name: x, labels: {a: b}}}")).toEqual({
      namespace: "",
      name: "x",
      uid: "",
      labels: { a: "b", "kubernetes.io/metadata.name": "x" },
    });
  });

  it("nodes, without their host names", () => {
    const node = `
apiVersion: v1
kind: Node
metadata: {name: n1, uid: u}
spec: {podCIDR: 10.0.1.0/24, podCIDRs: [10.0.1.0/24, "fd00:1::/64"]}
status: {addresses: [{type: InternalIP, address: 192.0.2.1}, {type: Hostname, address: n1}, {type: ExternalIP, address: 198.51.100.1}]}`;
    expect(convert(node)).toMatchObject({
      addresses: ["192.0.2.1", "198.51.100.1"],
      podCIDRs: ["10.0.1.0/24", "fd00:1::/64"],
    });
  });

  it("namespaces with annotations, those of Heddle", () => {
    const metadata = 'name: x, annotations: {heddle.dev/egress-ip: "192.0.2.9", other: "1"}';
    expect(convert(`{apiVersion: v1, kind: Namespace, metadata: {${metadata}}}`)).toMatchObject({
      annotations: { "heddle.dev/egress-ip": "192.0.2.9" },
    });
  });

  it("nodes that are about to be removed, by their deletion or the autoscaler's taint, and no others", () => {
    const leaving = (metadata: string, spec: string) =>
      convert(`{apiVersion: v1, kind: Node, metadata: {name: n1${metadata}}, spec: {${spec}}}`);
    expect(leaving(', deletionTimestamp: "2026-01-01T00:00:00Z"', "")).toMatchObject({ leaving: true });
    const taint = "taints: [{key: a, effect: NoSchedule}, {key: ToBeDeletedByClusterAutoscaler, effect: NoSchedule}]";
    expect(leaving("", taint)).toMatchObject({ leaving: true });
    expect(leaving("", "unschedulable: true, taints: [{key: a, effect: NoExecute}]")).not.toHaveProperty("leaving");
  });

  it("network policies, null as absent, absent and empty apart", () => {
    const policy = `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: p, namespace: x, uid: u}
spec:
  podSelector:
  policyTypes: [Ingress]
  ingress:
  - from:
    - {namespaceSelector: {}, podSelector: {matchExpressions: [{key: k, operator: Exists}]}}
    - {ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}}
    ports: [{port: http}, {port: 80, endPort: 90, protocol: UDP}]
  - {from: [], ports: null}
  -
  egress: []`;
    expect(convert(policy)).toEqual({
      namespace: "x",
      name: "p",
      uid: "u",
      podSelector: {},
      policyTypes: ["Ingress"],
      ingress: [
        {
          peers: [
            { namespaceSelector: {}, podSelector: { matchExpressions: [{ key: "k", operator: "Exists" }] } },
            { ipBlock: { cidr: "10.0.0.0/8", except: ["10.1.0.0/16"] } },
          ],
          ports: [{ port: "http" }, { port: 80, endPort: 90, protocol: "UDP" }],
        },
        { peers: [] },
        {},
      ],
      egress: [],
    });
  });

  it("cluster network policies, with the names of what is not standard", () => {
    const policy = `
apiVersion: policy.networking.k8s.io/v1alpha2
kind: ClusterNetworkPolicy
metadata: {name: c}
spec:
  tier: Admin
  priority: 10
  subject: {namespaces: {matchLabels: {ns: x}}}
  ingress:
  - {name: r, action: Accept, from: [{pods: {podSelector: {}}}], protocols: [{tcp: {destinationPort: {number: 80}}}, {udp: {}}]}
  egress:
  - {action: Deny, to: [{networks: [10.0.0.0/8]}, {nodes: {}}, {domainNames: [a.example]}], protocols: [{sctp: {destinationPort: {range: {start: 1, end: 9}}}}, {icmp: {}}]}`;
    expect(convert(policy)).toEqual({
      namespace: "",
      name: "c",
      uid: "",
      tier: "Admin",
      priority: 10,
      subject: { namespaces: { matchLabels: { ns: "x" } } },
      ingress: [
        {
          name: "r",
          action: "Accept",
          peers: [{ pods: { namespaceSelector: {}, podSelector: {} } }],
          protocols: [{ tcp: { number: 80 } }, { udp: {} }],
        },
      ],
      egress: [
        {
          action: "Deny",
          peers: [{ networks: ["10.0.0.0/8"] }, { unknown: ["nodes"] }, { unknown: ["domainNames"] }],
          protocols: [{ sctp: { range: { start: 1, end: 9 } } }, { unknown: ["icmp"] }],
        },
      ],
    });
  });

  it("services", () => {
    const service = `
apiVersion: v1
kind: Service
metadata:
  name: s
  namespace: x
  creationTimestamp: "2023-11-14T22:13:20Z"
  labels: {service.kubernetes.io/service-proxy-name: other}
  annotations: {heddle.dev/lb: maglev, example.com/x: y}
spec:
  type: LoadBalancer
  clusterIP: 10.96.0.7
  clusterIPs: [10.96.0.7, "fd00:96::7"]
  ports: [{name: http, port: 80, targetPort: web, nodePort: 30080}, {port: 53, protocol: UDP}, {port: 99999}]
  sessionAffinity: ClientIP
  externalTrafficPolicy: Local
  healthCheckNodePort: 32000
  loadBalancerSourceRanges: [" 203.0.113.0/24"]
status: {loadBalancer: {ingress: [{ip: 198.51.100.1}, {ip: 198.51.100.2, ipMode: Proxy}, {hostname: lb.example}]}}`;
    expect(convert(service)).toEqual({
      namespace: "x",
      name: "s",
      uid: "",
      type: "LoadBalancer",
      clusterIps: ["10.96.0.7", "fd00:96::7"],
      externalIps: [],
      loadBalancerIps: ["198.51.100.1"],
      proxiedIps: ["198.51.100.2"],
      created: 1_700_000_000,
      proxyName: "other",
      annotations: { "heddle.dev/lb": "maglev" },
      sourceRanges: ["203.0.113.0/24"],
      ports: [
        { name: "http", protocol: "TCP", port: 80, nodePort: 30_080 },
        { name: "", protocol: "UDP", port: 53 },
      ],
      internalTrafficPolicy: "Cluster",
      externalTrafficPolicy: "Local",
      healthCheckNodePort: 32_000,
      clientIpAffinity: 10_800,
      publishNotReady: false,
    });
    const headless = "{apiVersion: v1, kind: Service, metadata: {name: h}, spec: {clusterIP: None}}";
    const plain = convert(headless);
    expect(plain).toMatchObject({ clusterIps: [], type: "ClusterIP" });
    for (const absent of ["created", "proxiedIps", "proxyName", "annotations"]) {
      expect(plain).not.toHaveProperty(absent);
    }
  });

  it("endpoint slices, conditions as the API defaults them", () => {
    const slice = `
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: s-1
  namespace: x
  generation: 3
  labels: {kubernetes.io/service-name: s}
  annotations: {endpoints.kubernetes.io/last-change-trigger-time: "2023-11-14T22:13:20.5Z"}
addressType: IPv4
ports: [{name: http, port: 8080}]
endpoints:
- {addresses: [10.0.0.1], nodeName: n1, zone: a, hints: {forZones: [{name: a}]}}
- {addresses: [10.0.0.2], conditions: {ready: false, serving: true, terminating: true}}
- {addresses: [rubbish]}`;
    expect(convert(slice)).toMatchObject({
      service: "s",
      addressType: "IPv4",
      generation: 3,
      triggered: 1_700_000_000_500,
      ports: [{ name: "http", protocol: "TCP", port: 8080 }],
      endpoints: [
        { addresses: ["10.0.0.1"], ready: true, serving: true, terminating: false, node: "n1", forZones: ["a"] },
        { addresses: ["10.0.0.2"], ready: false, serving: true, terminating: true },
      ],
    });
    expect(convert(slice.replace("IPv4", "FQDN"))).toBeUndefined();
    expect(convert(slice.replace("service-name", "other"))).toBeUndefined();
  });

  it("service CIDRs", () => {
    const cidr =
      "{apiVersion: networking.k8s.io/v1, kind: ServiceCIDR, metadata: {name: k}, spec: {cidrs: [10.96.0.0/12]}}";
    expect(convert(cidr)).toMatchObject({ namespace: "", name: "k", cidrs: ["10.96.0.0/12"] });
  });
});

describe("what is not reflected", () => {
  it.each([
    "{apiVersion: apps/v1, kind: Deployment, metadata: {name: d}}",
    "[]",
    "",
    "{kind: Pod}",
    "{apiVersion: [v1], kind: Pod}",
  ])("is undefined: %s", (yaml) => {
    expect(convertObject(parse(yaml))).toBeUndefined();
  });

  it("is an error without a name", () => {
    expect(() => convertObject({ apiVersion: "v1", kind: "Pod" })).toThrow(ConvertError);
  });
});

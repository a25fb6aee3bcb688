import { randomBytes } from "node:crypto";
import type { ApiObject } from "../../../test/support/k8s/fake-api-server.ts";

/** About what the API server sends of a pod of a deployment: managed fields, probes, volumes, statuses; 5 KB and more. */
export function fullPod(i: number, labels: Readonly<Record<string, string>> = {}): ApiObject {
  const app = `service-${i % 700}`;
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      name: `${app}-6d4cf56db6-${String(i).padStart(5, "0")}`,
      generateName: `${app}-6d4cf56db6-`,
      namespace: `team-${i % 500}`,
      uid: `6d3b3f1e-4a5b-4c6d-8e7f-${String(i).padStart(12, "0")}`,
      creationTimestamp: "2026-01-02T03:04:05Z",
      labels: { app, "pod-template-hash": "6d4cf56db6", version: `v${i % 5}`, tier: "back", ...labels },
      annotations: { "kubernetes.io/config.seen": "2026-01-02T03:04:05.123456789Z", "prometheus.io/scrape": "true" },
      ownerReferences: [{ apiVersion: "apps/v1", kind: "ReplicaSet", name: `${app}-6d4cf56db6`, controller: true }],
      managedFields: MANAGED,
    },
    spec: { ...SPEC, nodeName: `node-${i % 500}` },
    status: {
      ...STATUS,
      podIP: ipOf(i),
      podIPs: [{ ip: ipOf(i) }, { ip: `fd00:10:244::${i.toString(16)}` }],
      startTime: "2026-01-02T03:04:06Z",
    },
  };
}

const ipOf = (i: number): string => `10.${64 + (i >> 16)}.${(i >> 8) & 255}.${i & 255}`;
const digest = (): string => `sha256:${randomBytes(32).toString("hex")}`;

const MANAGED = ["kube-controller-manager", "kubelet"].map((manager) => ({
  manager,
  operation: "Update",
  apiVersion: "v1",
  time: "2026-01-02T03:04:05Z",
  fieldsType: "FieldsV1",
  fieldsV1: Object.fromEntries(
    Array.from({ length: 14 }, (_, i) => [`f:member${i}`, { "f:a": {}, [`k:{"name":"container-${i}"}`]: { ".": {} } }]),
  ),
}));

const container = (name: string, port: number) => ({
  name,
  image: `registry.example.com/team/${name}:1.42.7`,
  ports: [{ name: name.slice(0, 12), containerPort: port, protocol: "TCP" }],
  env: Array.from({ length: 8 }, (_, i) => ({ name: `SETTING_${i}`, value: `value number ${i}` })),
  resources: { requests: { cpu: "100m", memory: "128Mi" }, limits: { memory: "256Mi" } },
  volumeMounts: [
    { name: "kube-api-access", readOnly: true, mountPath: "/var/run/secrets/kubernetes.io/serviceaccount" },
  ],
  livenessProbe: { httpGet: { path: "/healthz", port, scheme: "HTTP" }, periodSeconds: 10, failureThreshold: 3 },
  readinessProbe: { httpGet: { path: "/readyz", port, scheme: "HTTP" }, periodSeconds: 5, failureThreshold: 3 },
  terminationMessagePath: "/dev/termination-log",
  imagePullPolicy: "IfNotPresent",
});

const SPEC = {
  volumes: [{ name: "kube-api-access", projected: { defaultMode: 420, sources: [{ serviceAccountToken: {} }] } }],
  containers: [container("main", 8080), container("proxy", 15_000)],
  restartPolicy: "Always",
  serviceAccountName: "default",
  schedulerName: "default-scheduler",
  tolerations: [
    { key: "node.kubernetes.io/not-ready", operator: "Exists", effect: "NoExecute", tolerationSeconds: 300 },
  ],
};

const STATUS = {
  phase: "Running",
  conditions: ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"].map((type) => ({
    type,
    status: "True",
    lastProbeTime: null,
    lastTransitionTime: "2026-01-02T03:04:09Z",
  })),
  containerStatuses: ["main", "proxy"].map((name) => ({
    name,
    state: { running: { startedAt: "2026-01-02T03:04:08Z" } },
    ready: true,
    restartCount: 0,
    imageID: `registry.example.com/team/${name}@${digest()}`,
    containerID: `containerd://${digest().slice(7)}`,
  })),
};

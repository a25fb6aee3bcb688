import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { parse } from "yaml";
import { Manifests } from "../../../src/lab/kubernetes/manifests.ts";
import type { PodRecord } from "../../../src/lab/state/state.ts";

const POD: PodRecord = {
  namespace: "x",
  name: "a",
  node: "n1",
  netns: "hd000000-p1-a",
  containerId: "c1",
  uid: "u1",
  labels: { app: "web" },
  ips: [],
};

describe("the manifests of a lab", () => {
  let dir: string;
  let manifests: Manifests;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), "hd-manifests-"));
    manifests = new Manifests(join(dir, "m"));
    manifests.prepare();
  });
  afterEach(() => rmSync(dir, { recursive: true, force: true }));
  const files = (): string[] => readdirSync(manifests.dir).sort();
  const read = (file: string): unknown => parse(readFileSync(join(manifests.dir, file), "utf8"));

  it("have a pod from its creation to its end, with its addresses once it has them", () => {
    manifests.putPod(POD);
    expect(read("pod.x.a.yaml")).toMatchObject({
      metadata: { namespace: "x", name: "a", uid: "u1", labels: { app: "web" } },
      spec: { nodeName: "n1" },
      status: { phase: "Pending" },
    });
    manifests.putPod({ ...POD, ips: ["10.0.0.1", "fd00::1"] });
    expect(read("pod.x.a.yaml")).toMatchObject({
      status: { phase: "Running", podIPs: [{ ip: "10.0.0.1" }, { ip: "fd00::1" }] },
    });
    manifests.removePod(POD);
    expect(files()).toEqual(["namespace.x.yaml"]);
  });

  it("have a pod's namespace, and leave one alone that somebody has labelled", () => {
    manifests.putNamespace("x", { team: "a" });
    manifests.putPod(POD);
    expect(read("namespace.x.yaml")).toMatchObject({
      metadata: { name: "x", labels: { "kubernetes.io/metadata.name": "x", team: "a" } },
    });
  });

  it("take over and remove all objects of a file, lists too, in the namespace that kubectl would take", () => {
    const text = `
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: Namespace, metadata: {name: y}}
- {apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: p}, spec: {podSelector: {}}}
---
apiVersion: policy.networking.k8s.io/v1alpha2
kind: ClusterNetworkPolicy
metadata: {name: c}
`;
    expect(manifests.apply(text)).toEqual(["namespace y", "networkpolicy p", "clusternetworkpolicy c"]);
    expect(files()).toEqual(["clusternetworkpolicy.c.yaml", "namespace.y.yaml", "networkpolicy.default.p.yaml"]);
    expect(manifests.delete(text)).toHaveLength(3);
    expect(files()).toEqual([]);
  });

  it.each([
    ["what is not YAML", "a: [", /not YAML/],
    ["an object without a name", "kind: Namespace\nmetadata: {}", /needs a kind and metadata\.name/],
    [
      "a name that leads out of the directory",
      "kind: Namespace\nmetadata: {name: ../x}",
      /needs a kind and metadata\.name/,
    ],
  ])("refuse %s, and take over nothing of it", (_what, text, message) => {
    expect(() => manifests.apply(`kind: Namespace\nmetadata: {name: good}\n---\n${text}`)).toThrow(message);
    expect(files()).toEqual([]);
  });
});

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { ksrConfigSchema } from "../../../src/infra/config/ksr-config.ts";
import { list, mapping } from "../../../src/ksr/convert/members.ts";
import { parseManifest } from "../../../src/ksr/manifests/parse.ts";
import { RESOURCES } from "../../../src/ksr/resources.ts";

const objects = parseManifest(readFileSync(join(import.meta.dirname, "../../../manifests/ksr.yaml"), "utf8")).map(
  mapping,
);
const only = (kind: string) => {
  const [object, ...more] = objects.filter((o) => o["kind"] === kind);
  expect(more).toEqual([]);
  return mapping(object);
};
const rulesOf = (kind: string) => list(only(kind)["rules"]).map(mapping);

describe("manifests/ksr.yaml", () => {
  it("grants reading of exactly the resources that are reflected", () => {
    const granted = rulesOf("ClusterRole").flatMap((rule) => {
      expect(rule["verbs"]).toEqual(["get", "list", "watch"]);
      return list(rule["apiGroups"]).flatMap((g) => list(rule["resources"]).map((r) => `${String(g)}/${String(r)}`));
    });
    const needed = RESOURCES.map(
      ({ group, plural }) => `${group.startsWith("/apis/") ? group.split("/")[2] : ""}/${plural}`,
    );
    expect(granted.sort()).toEqual(needed.sort());
  });

  it("grants writing of nothing but its lease, in its own namespace", () => {
    expect(rulesOf("Role")).toEqual([
      { apiGroups: ["coordination.k8s.io"], resources: ["leases"], verbs: ["create"] },
      {
        apiGroups: ["coordination.k8s.io"],
        resources: ["leases"],
        resourceNames: ["heddle-ksr"],
        verbs: ["get", "update"],
      },
    ]);
    expect(mapping(only("Role")["metadata"])["namespace"]).toBe("kube-system");
  });

  it("has a configuration that is valid", () => {
    const config = ksrConfigSchema.parse(parse(String(mapping(only("ConfigMap")["data"])["ksr.yaml"])));
    expect(config.rest).toBe("127.0.0.1:9192");
    expect(config.leaderElection).toEqual({ enabled: true, name: "heddle-ksr" });
  });

  it("runs two replicas as nobody, on a file system that can't be written", () => {
    const spec = mapping(only("Deployment")["spec"]);
    expect(spec["replicas"]).toBe(2);
    const pod = mapping(mapping(spec["template"])["spec"]);
    expect(pod["securityContext"]).toMatchObject({ runAsNonRoot: true });
    const [container] = list(pod["containers"]).map(mapping);
    expect(container?.["securityContext"]).toEqual({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ["ALL"] },
    });
  });
});

import { describe, expect, it } from "vitest";
import { parseInterfaces } from "../../../../src/pods/cni/interfaces.ts";
import { errorOf, parse } from "./support.ts";

const asked = (text: string) => {
  const runtimeConfig = { "io.kubernetes.cri.pod-annotations": { "heddle.dev/interfaces": text, other: "x" } };
  return parse({ runtimeConfig });
};

describe("further interfaces", () => {
  it("are read from the pod's annotation, which the runtime passes", () => {
    const interfaces = [
      { name: "memif1", kind: "memif" },
      { name: "wire0", kind: "veth" },
      { name: "t_0.a", kind: "tap" },
    ];
    expect(asked("memif1/memif, wire0/veth ,t_0.a/tap")).toMatchObject({ options: { interfaces } });
  });

  it("are none without the annotation, or with an empty one", () => {
    for (const request of [parse({}), asked(""), asked(" , ")]) {
      expect(request).not.toHaveProperty("options.interfaces");
    }
  });

  it.each([
    ["memif1", "the kind is missing; memif, tap, veth are known"],
    ["memif1/", "the kind is ; memif, tap, veth are known"],
    ["a/dpdk", "the kind is dpdk"],
    ["a/memif/blue", "there are no networks to choose from"],
    ["/memif", "it must not be empty"],
    ["eth0/veth", "eth0 is the pod's first interface"],
    ["a/memif,b/veth,a/veth", '"a/veth": there is another interface a already'],
    ["a,name/memif", "the kind is missing"],
    ["a:b/veth", "it must not contain"],
    ["-a/veth", "letters, digits, . _ and - are allowed"],
    ["a=b/memif", "letters, digits, . _ and - are allowed"],
    ["sixteen-letters-/veth", "at most 15 bytes"],
  ])("are refused by entry: %s", (text, why) => {
    const error = errorOf(() => asked(text));
    expect(error).toContain("INVALID_CONFIG the pod's annotation heddle.dev/interfaces is wrong: ");
    expect(error).toContain(why);
  });

  it("are refused when they are too many", () => {
    const names = (count: number) => Array.from({ length: count }, (_, i) => `m${i}/memif`).join(",");
    expect(parseInterfaces(names(8), "eth0")).toHaveLength(8);
    expect(errorOf(() => asked(names(9)))).toContain("9 interfaces, where a pod can have 8");
  });
});

import { describe, expect, it } from "vitest";
import { PodsRig } from "../../support/pods/pods-rig.ts";

const annotated = (text: string, more: object = {}) => ({
  config: { runtimeConfig: { "io.kubernetes.cri.pod-annotations": { "heddle.dev/interfaces": text, ...more } } },
});
const numbers = (rig: PodsRig, id: string) =>
  (rig.sandbox(id).row.further ?? []).map(({ name, number }) => [name, number]);

describe("further interfaces of a pod", () => {
  it("are made with its first, under names and numbers of their own", async () => {
    const rig = new PodsRig();
    await rig.run("ADD", annotated("memif1/memif,wire0/veth"));
    const [memif, veth] = rig.sandbox("c1/eth0").row.further ?? [];
    expect(memif).toMatchObject({ name: "memif1", kind: "memif", number: 1 });
    expect(veth).toMatchObject({ name: "wire0", kind: "veth", number: 2 });
    const names = [rig.sandbox("c1/eth0").row.hostIf, memif?.hostIf, veth?.hostIf];
    expect(new Set(names).size).toBe(3);
    for (const name of names) expect(name).toMatch(/^hd[0-9a-f]{13}$/);
    expect(veth?.mac).not.toBe(memif?.mac);
    expect(rig.scheduler.items.get("further/2")).toBe(`${veth?.hostIf} veth`);
  });

  it("have numbers that no other pod's have, and give them back", async () => {
    const rig = new PodsRig();
    await rig.run("ADD", { id: "c1", ...annotated("a/memif,b/memif") });
    await rig.run("ADD", { id: "c2", ...annotated("a/memif") });
    expect(numbers(rig, "c2/eth0")).toEqual([["a", 3]]);
    await rig.run("DEL", { id: "c1" });
    await rig.run("ADD", { id: "c3", ...annotated("a/memif,b/memif,c/memif") });
    expect(numbers(rig, "c3/eth0")).toEqual([
      ["a", 1],
      ["b", 2],
      ["c", 4],
    ]);
  });

  it("are the same after a restart", async () => {
    const rig = new PodsRig();
    await rig.run("ADD", annotated("memif1/memif,wire0/veth"));
    expect(rig.remembered.get("c1/eth0")).toEqual(rig.sandbox("c1/eth0"));
  });

  it("are part of what an ADD asks for; other annotations are not", async () => {
    const rig = new PodsRig();
    const first = await rig.run("ADD", annotated("a/memif"));
    expect(await rig.run("ADD", annotated("a/memif", { color: "blue" }))).toEqual(first);
    expect(await rig.run("ADD", annotated("a/veth"))).toMatch(/^ALREADY_ADDED/);
  });

  it("are refused where the dataplane has none of a kind, and nothing is left of the pod", async () => {
    const rig = new PodsRig();
    rig.wiring.lacks.add("memif");
    expect(await rig.run("ADD", annotated("wire0/veth,memif1/memif"))).toBe(
      "INVALID_CONFIG the pod cannot have its interface memif1/memif: no memif here",
    );
    expect(rig.ids).toEqual([]);
    expect(rig.scheduler.items.size).toBe(0);
  });
});

describe("a pod's interface", () => {
  it("is what the dataplane wanted when it was made, and that is remembered", async () => {
    const rig = new PodsRig();
    rig.wiring.link = "tap";
    await rig.run("ADD", { id: "c1" });
    rig.wiring.link = "veth";
    await rig.run("ADD", { id: "c2" });
    for (const [id, link] of [
      ["c1/eth0", "tap"],
      ["c2/eth0", undefined],
    ] as const) {
      expect(rig.sandbox(id).row.link).toBe(link);
      expect(rig.remembered.get(id)?.row.link).toBe(link);
    }
  });
});

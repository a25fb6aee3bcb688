import { describe, expect, it } from "vitest";
import { underlayPlan } from "../../../src/lab/net/plan.ts";
import { nodeDataplane } from "../../../src/lab/node/agent.ts";
import { LabPaths } from "../../../src/lab/paths.ts";
import { chooseStore } from "../../../src/lab/stores/store.ts";
import { planLab } from "../../../src/lab/up.ts";

const embedded = { record: { kind: "embedded", endpoints: ["/x/store.sock"] } } as const;
const usage = expect.objectContaining({ code: "USAGE" });

describe("a lab's plan", () => {
  it("names every namespace before any is made, all by the lab's id", () => {
    const state = planLab({ dir: "/x", nodes: 2, id: "abc123" }, embedded);
    expect(state.namespaces).toEqual(["hdabc123-fab", "hdabc123-out", "hdabc123-n1", "hdabc123-n2"]);
    expect(state.processes.map((p) => p.role)).toEqual(["store-serve", "ksr", "agent-n1", "agent-n2"]);
    expect(state.phase).toBe("starting");
  });

  it("gives nodes addresses of both families, IPv4 first", () => {
    const state = planLab({ dir: "/x", nodes: 17 }, embedded);
    expect(state.nodes[16]?.underlay).toEqual(["192.168.77.17", "fd77::11"]);
    expect(() => underlayPlan.node(200)).not.toThrow();
  });

  it.each([0, 201, 1.5])("refuses %s nodes", (nodes) => {
    expect(() => planLab({ dir: "/x", nodes }, embedded)).toThrow(usage);
  });

  it.each([1279, 65_536])("refuses an MTU of %s", (mtu) => {
    expect(() => planLab({ dir: "/x", nodes: 1, mtu }, embedded)).toThrow(usage);
  });

  it("gives every other node VPP when mixed", () => {
    expect([1, 2, 3].map((i) => nodeDataplane("mixed", i))).toEqual(["linux", "vpp", "linux"]);
    expect(() => nodeDataplane("ebpf", 1)).toThrow(usage);
  });
});

describe("the choice of store", () => {
  const paths = new LabPaths("/x");
  const without = { PATH: "", HEDDLE_ETCD: "/nonexistent/etcd" };

  it("never replaces an etcd that was asked for", () => {
    expect(() => chooseStore("etcd", paths, without)).toThrow(expect.objectContaining({ code: "CANNOT_RUN" }));
  });

  it("takes the embedded one and says so when nothing was asked for and there is no etcd", () => {
    const chosen = chooseStore("auto", paths, without);
    expect(chosen.record).toEqual({ kind: "embedded", endpoints: ["/x/store.sock"] });
    expect(chosen.note).toMatch(/no etcd was found.*embedded/);
  });

  it("takes the etcd that HEDDLE_ETCD names", () => {
    const chosen = chooseStore("auto", paths, { PATH: "", HEDDLE_ETCD: process.execPath });
    expect(chosen.record.kind).toBe("etcd");
    expect(chosen.etcd).toBe(process.execPath);
    expect(chosen.note).toBeUndefined();
  });
});

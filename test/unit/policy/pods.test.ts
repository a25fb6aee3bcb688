import { describe, expect, it } from "vitest";
import { parseIp } from "../../../src/base/ip/address.ts";
import type { Pod } from "../../../src/models/k8s/pod.ts";
import type { PolicyChanges } from "../../../src/policy/api.ts";
import { servingPod, World } from "../../support/policy-oracle/world.ts";

const FROM_B = `
kind: NetworkPolicy
metadata: {namespace: x, name: p}
spec: {podSelector: {matchLabels: {pod: a}}, ingress: [{from: [{podSelector: {matchLabels: {pod: b}}}]}]}`;
const DENY = `
kind: NetworkPolicy
metadata: {namespace: x, name: deny}
spec: {podSelector: {}, policyTypes: [Ingress, Egress]}`;

const put = (world: World, pod: Pod): PolicyChanges => world.apply([{ kind: "pod", at: pod, object: pod }]);
const drop = (world: World, namespace: string, name: string): PolicyChanges =>
  world.apply([{ kind: "pod", at: { namespace, name }, object: undefined }]);
const unwire = (world: World, id: string): PolicyChanges => world.apply([{ kind: "local", id, object: undefined }]);

describe("a pod elsewhere", () => {
  const other = (more: Partial<Pod> = {}): Pod => ({
    ...servingPod("x", "b2", [parseIp("10.9.0.1")]),
    labels: { pod: "b" },
    node: "n2",
    ...more,
  });

  it("is a peer while it has an address and runs, terminating or not", () => {
    const world = new World(FROM_B);
    const reaches = (): boolean => world.can("10.9.0.1", "x/a", "TCP/80");
    expect(reaches()).toBe(false);
    put(world, other({ ips: [], phase: "Pending" }));
    expect(reaches()).toBe(false);
    put(world, other());
    expect(reaches()).toBe(true);
    put(world, other({ terminating: true }));
    expect(reaches()).toBe(true);
    put(world, other({ phase: "Succeeded" }));
    expect(reaches()).toBe(false);
    put(world, other());
    put(world, other({ phase: "Failed" }));
    expect(reaches()).toBe(false);
    put(world, other());
    drop(world, "x", "b2");
    expect(reaches()).toBe(false);
  });

  it("is none on the host network", () => {
    const world = new World(FROM_B);
    put(world, other({ hostNetwork: true }));
    expect(world.can("10.9.0.1", "x/a", "TCP/80")).toBe(false);
  });

  it("counts with all its addresses, and with new ones", () => {
    const world = new World(FROM_B);
    put(world, other({ ips: [parseIp("10.9.0.1"), parseIp("fd00::9:1")] }));
    expect(world.can("fd00::9:1", "x/a", "TCP/80", 6)).toBe(true);
    const { sets } = put(world, other({ ips: [parseIp("10.9.0.2"), parseIp("fd00::9:1")] }));
    expect(sets.map(({ family, added, removed }) => ({ family, added, removed }))).toEqual([
      { family: 4, added: [{ ip: "10.9.0.2" }], removed: [{ ip: "10.9.0.1" }] },
    ]);
  });

  it("loses its address to the pod that has it now", () => {
    const world = new World(FROM_B);
    put(world, other({ terminating: true }));
    put(world, { ...servingPod("y", "new", [parseIp("10.9.0.1")]), created: 5 });
    expect(world.can("10.9.0.1", "x/a", "TCP/80")).toBe(false);
    drop(world, "y", "new");
    expect(world.can("10.9.0.1", "x/a", "TCP/80")).toBe(true);
  });

  it("can't claim an address that is wired here", () => {
    const world = new World(FROM_B);
    put(world, other({ ips: [parseIp("10.0.3.1")], created: 99 }));
    expect(world.can("z/a", "x/a", "TCP/80")).toBe(false);
  });

  it("follows its labels, and those of its namespace", () => {
    const world = new World(`
kind: NetworkPolicy
metadata: {namespace: x, name: p}
spec: {podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {team: t}}, podSelector: {matchLabels: {pod: b}}}]}]}`);
    expect(world.whoReaches("x/a", "TCP/80")).toBe("");
    const labels = { "kubernetes.io/metadata.name": "y", team: "t" };
    const at = { namespace: "" as const, name: "y" };
    world.apply([{ kind: "namespace", at, object: { ...at, uid: "", labels } }]);
    expect(world.whoReaches("x/a", "TCP/80")).toBe("y/b");
    const { sets } = put(world, { ...world.pod("y/c"), labels: { pod: "b" } });
    expect(sets).toHaveLength(2);
    expect(world.whoReaches("x/a", "TCP/80")).toBe("y/b y/c");
    world.apply([{ kind: "namespace", at, object: undefined }]);
    expect(world.whoReaches("x/a", "TCP/80")).toBe("");
  });
});

describe("a pod here is isolated", () => {
  const isolation = (world: World, id = "x/a") => world.engine.row(id)?.isolated;

  it("until its object arrives", () => {
    const world = new World();
    const ips = [parseIp("10.0.1.9")];
    const object = { id: "n", namespace: "x", name: "n", uid: "uid-n", ips };
    world.apply([{ kind: "local", id: "n", object }]);
    expect(isolation(world, "n")).toBe("no-object");
    const { pods } = put(world, servingPod("x", "n", []));
    expect(pods.map((c) => [c.old?.isolated, c.new?.isolated])).toEqual([["no-object", undefined]]);
    // The wiring's addresses count before the API server has heard of them.
    world.put(FROM_B.replace("pod: b", "pod: n"));
    expect(world.can("10.0.1.9", "x/a", "TCP/80")).toBe(true);
  });

  it("by an object of another incarnation", () => {
    const world = new World();
    put(world, { ...world.pod("x/a"), uid: "another" });
    expect(isolation(world)).toBe("no-object");
    expect([world.can("y/a", "x/a", "TCP/80"), world.can("192.168.0.1", "x/a", "TCP/80")]).toEqual([false, true]);
    expect(world.can("x/a", "y/a", "TCP/80")).toBe(false);
  });

  it("but not by the mirror of a static pod, which has a UID of its own", () => {
    const world = new World();
    put(world, { ...world.pod("x/a"), uid: "another", mirrorOf: "uid-a" });
    expect(isolation(world)).toBeUndefined();
  });

  it("by an object that can't be read, and without its namespace", () => {
    const world = new World();
    world.apply([{ kind: "pod", at: { namespace: "x", name: "a" }, object: { unreadable: "damaged" } }]);
    expect(isolation(world)).toBe("unreadable-object");
    world.apply([{ kind: "namespace", at: { namespace: "", name: "y" }, object: undefined }]);
    expect(isolation(world, "y/a")).toBe("no-namespace");
  });
});

describe("tables and sets", () => {
  it("are shared by pods with equal rules, whatever policies they come from", () => {
    const world = new World(DENY);
    world.put(DENY.replace("namespace: x", "namespace: y"));
    const rows = world.engine.rows();
    const ingress = new Set(rows.pods.filter((p) => p.pod.namespace !== "z").map((p) => p.ingress));
    expect(ingress.size).toBe(1);
    expect(rows.tables).toHaveLength(4); // open and closed, by direction
  });

  it("come and go with their use", () => {
    const world = new World();
    const before = world.engine.rows();
    const { tables, sets } = world.put(FROM_B);
    expect([tables.length, sets.map((s) => s.what)]).toEqual([1, ["created", "created"]]);
    const gone = world.apply([{ kind: "networkpolicy", at: { namespace: "x", name: "p" }, object: undefined }]);
    expect(gone.sets.map((s) => s.what)).toEqual(["deleted", "deleted"]);
    expect(gone.tables.map((t) => t.old?.id)).toEqual(tables.map((t) => t.new?.id));
    expect(world.engine.rows()).toEqual(before);
  });

  it("don't move when nothing that matters changes", () => {
    const world = new World(FROM_B);
    const nothing = { pods: [], tables: [], sets: [], problems: [] };
    expect(world.put(FROM_B)).toEqual(nothing);
    expect(put(world, { ...world.pod("x/b"), labels: { pod: "b", more: "m" } })).toEqual(nothing);
    expect(put(world, { ...world.pod("z/c"), labels: { pod: "b" } })).toEqual(nothing);
  });

  it("keep their set when the policy gains a rule", () => {
    const world = new World(FROM_B);
    const changes = world.put(FROM_B.replace("ingress: [", "ingress: [{ports: [{port: 443}]}, "));
    expect(changes.sets).toEqual([]);
    expect(changes.tables).toHaveLength(2);
  });

  it("go with the last wiring", () => {
    const world = new World(FROM_B);
    for (const { id } of world.engine.rows().pods) unwire(world, id);
    expect(world.engine.rows()).toEqual({ pods: [], tables: [], sets: [], problems: [] });
    expect(world.engine.stats()).toMatchObject({ locals: 0, tables: 0, sets: 0 });
  });

  it("hand an address over between pods of one set without touching the set", () => {
    const world = new World(FROM_B);
    const old = { ...servingPod("x", "b2", [parseIp("10.9.0.1")]), labels: { pod: "b" } };
    put(world, old);
    const next = { ...old, name: "b3", uid: "uid-b3" };
    const { sets } = world.apply([
      { kind: "pod", at: next, object: next },
      { kind: "pod", at: old, object: undefined },
    ]);
    expect(sets).toEqual([]);
    expect(world.can("10.9.0.1", "x/a", "TCP/80")).toBe(true);
  });
});

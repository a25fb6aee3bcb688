import { describe, expect, it } from "vitest";
import { refKey, refOf, WorldState } from "../../support/policy/catalogue/state.ts";
import {
  addressOf,
  CatalogueError,
  expectationsOf,
  loadCatalogue,
  pairKey,
  parseCases,
} from "../../support/policy/catalogue.ts";

const { world } = loadCatalogue();

/** Pairs of which something is denied, and what of them. */
function denied(text: string): string[] {
  const cells = expectationsOf(world, text).filter((c) => !c.allowed);
  return [...new Set(cells.map(pairKey))];
}

describe("expectations", () => {
  it("are about every pair of which one end is a pod", () => {
    const cells = expectationsOf(world, "* -> *: allowed");
    // 9 pods to 12 ends, 3 other ends to 9 pods; 3 protocols, 2 ports, 2 families
    expect(cells.length).toBe((9 * 12 + 3 * 9) * 12);
    expect(cells.every((c) => c.allowed)).toBe(true);
  });

  it.each<readonly [line: string, pairs: string]>([
    ["x/a -> y/b: denied", "x/a>y/b"],
    ["x/a, x/b -> y/b, y/c: denied", "x/a>y/b x/a>y/c x/b>y/b x/b>y/c"],
    ["x/* -> x/a: denied", "x/b>x/a x/c>x/a"],
    ["*/a -> z/b: denied", "x/a>z/b y/a>z/b z/a>z/b"],
    ["pods except y/*, z/* -> outside: denied", "x/a>outside x/b>outside x/c>outside"],
    ["x/a -> * except pods: denied", "x/a>n2 x/a>outside"],
    ["* except pods -> x/a: denied", "n2>x/a outside>x/a"],
    ["own-node -> x/a, x/c: denied", "n1>x/a n2>x/c"],
    ["other-node -> x/a, x/c: denied", "n1>x/c n2>x/a"],
    ["nodes -> x/a: denied", "n1>x/a n2>x/a"],
    ["n1 -> x/*: denied", "n1>x/a n1>x/b n1>x/c"],
    ["x/* -> itself: denied", "x/a>x/a x/b>x/b x/c>x/c"],
  ])("%s", (line, pairs) => {
    expect(denied(line).sort()).toEqual(pairs.split(" ").sort());
  });

  it("take the last line that is about a connection", () => {
    expect(denied("x/* -> y/a: denied\nx/a -> y/a: allowed\n# x/b -> y/a: allowed")).toEqual(["x/b>y/a", "x/c>y/a"]);
  });

  it.each<readonly [line: string, count: number]>([
    ["x/a -> y/a: denied", 12],
    ["x/a -> y/a tcp: denied", 4],
    ["x/a -> y/a tcp, udp 80: denied", 4],
    ["x/a -> y/a 81 ipv6: denied", 3],
    ["x/a -> y/a sctp 80, 81 ipv4: denied", 2],
  ])("%s: %i kinds of traffic", (line, count) => {
    expect(expectationsOf(world, line).filter((c) => !c.allowed).length).toBe(count);
  });

  it.each<readonly [text: string, complaint: string]>([
    ["", "nothing is expected"],
    ["x/a -> y/a", 'is not "FROM -> TO'],
    ["x/a > y/a: denied", 'is not "FROM -> TO'],
    ["x/a -> y/a: forbidden", 'is not "FROM -> TO'],
    ["x/d -> y/a: denied", "what is x/d?"],
    ["x/a -> v/*: denied", "what is v/*?"],
    ["everyone -> y/a: denied", "what is everyone?"],
    ["x/a -> y/a tcp 8080: denied", "what traffic is 8080?"],
    ["x/a -> y/a tcp b: denied", "what traffic is b?"],
    ["x/a except -> y/a: denied", "an end is missing"],
    ["x/a -> tcp: denied", "an end is missing"],
    ["n1 -> outside: denied", "is about no pair"],
    ["x/a -> x/a: denied", "is about no pair"],
  ])("refuse %j", (text, complaint) => {
    expect(() => expectationsOf(world, text)).toThrow(complaint);
  });
});

describe("a file of the catalogue", () => {
  const policy = { apiVersion: "networking.k8s.io/v1", kind: "NetworkPolicy", metadata: { namespace: "x", name: "p" } };
  const good = { name: "one", policies: [policy], expect: "* -> *: allowed" };
  const step = { what: "later", expect: "* -> *: allowed" };

  it.each<readonly [what: string, content: unknown, complaint: string | RegExp]>([
    ["without cases", { theme: "t" }, /^f\.yaml: .*cases/s],
    ["with a case that has no name", { theme: "t", cases: [good, { policies: [] }] }, /^f\.yaml: case 2: .*name/s],
    [
      "with a member that means nothing",
      { theme: "t", cases: [{ ...good, expects: "" }] },
      /^f\.yaml: one: .*expects/s,
    ],
    [
      "with an object that has no name",
      { theme: "t", cases: [{ ...good, policies: [{ kind: "NetworkPolicy" }] }] },
      /^f\.yaml: one: /,
    ],
    ["with two cases of one name", { theme: "t", cases: [good, good] }, "f.yaml: one: there are two of that name"],
    [
      "with a line that means nothing",
      { theme: "t", cases: [{ ...good, expect: "x/a: denied" }] },
      /^f\.yaml: one: .*"x\/a: denied"/,
    ],
    [
      "with labels of nobody",
      { theme: "t", cases: [{ ...good, label: { "x/q": { a: "b" } } }] },
      "f.yaml: one: there is no x/q to label",
    ],
    [
      "with a later step that is wrong",
      { theme: "t", cases: [{ ...good, later: [{ ...step, expect: "q -> x/a: denied" }] }] },
      /^f\.yaml: one: later: .*what is q\?/,
    ],
    [
      "with something to delete that has no kind",
      { theme: "t", cases: [{ ...good, later: [{ ...step, delete: ["x/p"] }] }] },
      /^f\.yaml: one: .*must be KIND/s,
    ],
  ])("%s is refused, by the name of file and case", (_, content, complaint) => {
    expect(() => parseCases(world, "f.yaml", content)).toThrow(CatalogueError);
    expect(() => parseCases(world, "f.yaml", content)).toThrow(complaint);
  });
});

describe("the world's objects", () => {
  it("are nodes, namespaces and pods, with the addresses and names of ports that the world says", () => {
    const changes = new WorldState(world).begin();
    const names = changes.map((c) => (c.what === "put" ? refKey(refOf(c.manifest)) : ""));
    expect(names.length).toBe(2 + 3 + 9);
    expect(names.slice(0, 6)).toEqual(["Node n1", "Node n2", "Namespace x", "Namespace y", "Namespace z", "Pod x/a"]);
    expect(addressOf(world, "x/c", 6)).toBe("fd10:244:0:2::2:13");
    expect(() => addressOf(world, "x/d", 6)).toThrow("there is no x/d");
    expect(world.pods.find((p) => p.id === "y/c")?.ports).toContainEqual({
      name: "stream",
      protocol: "SCTP",
      port: 81,
    });
    // Each namespace is on both nodes: its pods reach each other within a node and between nodes.
    for (const { name } of world.namespaces) {
      expect(new Set(world.pods.filter((p) => p.namespace === name).map((p) => p.node)).size).toBe(2);
    }
  });

  it("carry the UIDs and addresses of pods that run somewhere", () => {
    const facts = new Map([["x/a", { uid: "u-1", ips: ["10.9.9.9"] }]]);
    const changes = new WorldState(world, facts).begin();
    const [pod] = changes.flatMap((c) =>
      c.what === "put" && refKey(refOf(c.manifest)) === "Pod x/a" ? [c.manifest] : [],
    );
    expect(pod).toMatchObject({ metadata: { uid: "u-1" }, status: { podIPs: [{ ip: "10.9.9.9" }] } });
  });

  it("go back to what they were when a case is over", () => {
    const state = new WorldState(world);
    const before = state.begin();
    const manifest = {
      apiVersion: "networking.k8s.io/v1",
      kind: "NetworkPolicy",
      metadata: { namespace: "x", name: "p" },
    };
    const changes = state.step({
      what: "",
      labels: { "x/a": { pod: null, more: "1" }, z: { ns: "y" } },
      objects: [],
      put: [manifest],
      delete: [],
      expected: [],
    });
    expect(changes[0]).toMatchObject({ manifest: { metadata: { labels: { more: "1", role: "web", tier: "front" } } } });
    expect(changes[1]).toMatchObject({ manifest: { metadata: { name: "z", labels: { ns: "y", team: "blue" } } } });
    const after = state.end();
    expect(after[0]).toEqual({ what: "delete", ref: { kind: "NetworkPolicy", namespace: "x", name: "p" } });
    for (const change of after.slice(1)) expect(before).toContainEqual(change);
    expect(state.end()).toEqual([]);
  });
});

import { describe, expect, it } from "vitest";
import { parseIp } from "../../../src/base/ip/address.ts";
import { K8S_CODECS } from "../../../src/models/k8s/codecs.ts";
import { K8S_KINDS, type K8sKind, k8sKey } from "../../../src/models/k8s/keys.ts";
import { policyInput } from "../../../src/policy/inputs.ts";
import { servingPod, World } from "../../support/policy-oracle/world.ts";

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const atOf = (kind: K8sKind) => ({ namespace: K8S_KINDS[kind].namespaced ? "x" : "", name: "n" });
const CONCERNED = ["pod", "namespace", "node", "networkpolicy", "clusternetworkpolicy"] as const;

describe("an entry of the store is taken", () => {
  it("as the object that it is", () => {
    const pod = servingPod("x", "a", [parseIp("10.0.0.1")]);
    const key = K8S_CODECS.pod.key(pod);
    expect(policyInput(key, K8S_CODECS.pod.encode(pod))).toEqual({
      kind: "pod",
      at: { namespace: "x", name: "a" },
      object: pod,
    });
  });

  it.each(CONCERNED)("as unreadable, with the reason, if it is damaged: %s", (kind) => {
    const input = policyInput(k8sKey(kind, atOf(kind)), bytes("{"));
    expect(input).toMatchObject({ kind, at: atOf(kind), object: { unreadable: expect.stringContaining("not JSON") } });
  });

  it.each(CONCERNED)("as gone without a value: %s", (kind) => {
    expect(policyInput(k8sKey(kind, atOf(kind)), undefined)).toEqual({ kind, at: atOf(kind), object: undefined });
  });

  it.each(["service", "endpointslice", "servicecidr"] as const)("not at all if policies don't need it: %s", (kind) => {
    expect(policyInput(k8sKey(kind, atOf(kind)), bytes("{"))).toBeUndefined();
  });
});

describe("connections are judged again", () => {
  const world = new World(`
kind: NetworkPolicy
metadata: {namespace: x, name: p}
spec:
  podSelector: {matchLabels: {pod: a}}
  policyTypes: [Ingress, Egress]
  ingress: [{from: [{podSelector: {}}, {ipBlock: {cidr: 192.0.2.0/24}}]}]
  egress: [{ports: [{port: serve-80-tcp}]}]`);
  const isOwnNode = (ip: string): boolean => ip === "192.168.0.1";
  const verdict = (direction: "egress" | "ingress", peer: string, port: number) =>
    world.engine.verdict("x/a", direction, { peer: parseIp(peer), protocol: "TCP", port }, isOwnNode)?.verdict;

  it.each([
    ["ingress", "10.0.1.2", 80, "accept"],
    ["ingress", "10.0.2.2", 80, "deny"],
    ["ingress", "192.0.2.9", 80, "accept"],
    ["ingress", "192.168.0.1", 80, "accept"],
    ["ingress", "10.0.1.1", 80, "accept"],
    ["egress", "10.0.2.2", 80, "accept"],
    ["egress", "10.0.2.2", 81, "deny"],
    ["egress", "192.168.0.1", 81, "accept"],
  ] as const)("%s %s %d: %s", (direction, peer, port, expected) => {
    expect(verdict(direction, peer, port)).toBe(expected);
  });

  it("but not of a wiring that there is not", () => {
    const packet = { peer: parseIp("10.0.0.1"), protocol: undefined, port: 0 };
    expect(world.engine.verdict("x/q", "ingress", packet, isOwnNode)).toBeUndefined();
  });
});

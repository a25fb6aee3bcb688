import { describe, expect, it } from "vitest";
import { SOURCES } from "../../../src/ksr/convert/convert.ts";
import { bytesOf, type Conversion, reflect } from "../../../src/ksr/convert/reflect.ts";
import type { K8sCodec } from "../../../src/models/k8s/codec.ts";
import { K8S_CODECS } from "../../../src/models/k8s/codecs.ts";
import { type ObjectName, parseK8sKey } from "../../../src/models/k8s/keys.ts";
import { MAX_REQUEST_BYTES } from "../../../src/stores/api/store.ts";

const decoded = (made: Conversion): unknown => {
  if (made.is !== "wish") throw new Error(`it is ${made.is}`);
  const { kind, key, value } = made.wish;
  expect(parseK8sKey(key).kind).toBe(kind);
  return (K8S_CODECS[kind] as unknown as K8sCodec<ObjectName>).decode(key, bytesOf(value));
};
const object = (id: string, metadata: unknown, more: object = {}): object => {
  const at = id.lastIndexOf("/");
  return { apiVersion: id.slice(0, at), kind: id.slice(at + 1), metadata, ...more };
};

describe("what becomes of an object of the API", () => {
  it.each(Object.keys(SOURCES).filter((id) => !id.endsWith("EndpointSlice")))(
    "the least that a %s can be is readable for the agents",
    (id) => {
      expect(decoded(reflect(object(id, { name: "x" })))).toMatchObject({ name: "x" });
    },
  );

  it("an item of a list is of the kind of the list", () => {
    const made = reflect({ metadata: { name: "p", namespace: "ns" } }, "v1/Pod");
    expect(made).toMatchObject({ is: "wish", wish: { kind: "pod", key: "/heddle/k8s/pod/ns/p" } });
  });

  it("equal objects have equal values, whatever the order of their members", () => {
    const a = reflect({ metadata: { name: "n", labels: { a: "1", b: "2" } } }, "v1/Namespace");
    const b = reflect({ metadata: { labels: { b: "2", a: "1" }, name: "n", resourceVersion: "7" } }, "v1/Namespace");
    expect(a).toEqual(b);
  });

  it("text beyond ASCII comes through", () => {
    const made = reflect({ metadata: { name: "n", labels: { a: "žluťoučký 🐎" } } }, "v1/Namespace");
    expect(decoded(made)).toMatchObject({ labels: { a: "žluťoučký 🐎" } });
  });

  it.each([
    ["a kind that nobody reflects", object("apps/v1/Deployment", { name: "d" }), { is: "ignored" }],
    ["a kind of another version", object("networking.k8s.io/v1beta1/ServiceCIDR", { name: "d" }), { is: "ignored" }],
    ["a kind called as a member of every object", { apiVersion: "to", kind: "String" }, { is: "ignored" }],
    [
      "an EndpointSlice of host names",
      object("discovery.k8s.io/v1/EndpointSlice", { name: "e" }, { addressType: "FQDN" }),
      { is: "ignored", kind: "endpointslice", key: "/heddle/k8s/endpointslice/default/e" },
    ],
  ])("is passed over: %s", (_, odd, expected) => {
    expect(reflect(odd)).toEqual(expected);
  });

  it.each([
    ["nothing", null],
    ["a text", "hello"],
    ["a list", []],
    ["no kind", { metadata: { name: "x" } }],
    ["no name", object("v1/Pod", {})],
    ["a name that is no text", object("v1/Pod", { name: 7 })],
    ["a name of two parts", object("v1/Pod", { name: "a/b" })],
    ["a namespace of two parts", object("v1/Pod", { name: "a", namespace: "../node" })],
    ["metadata that is a list", object("v1/Node", [])],
  ])("is a problem: %s", (_, odd) => {
    expect(reflect(odd)).toMatchObject({ is: "problem", problem: expect.stringMatching(/\w/) });
  });

  it("no object whatsoever makes it throw", () => {
    const odd = [null, 0, -1, 1e99, "", "x", [], [[]], {}, true, { name: 1 }, [{ ports: [null] }], { "": {} }];
    for (const id of Object.keys(SOURCES)) {
      for (const spec of odd) {
        for (const status of odd) {
          const meta = { name: "x", labels: spec, annotations: status, uid: spec, creationTimestamp: status };
          const made = reflect({ metadata: meta, spec, status, ports: spec, endpoints: status }, id);
          expect(["wish", "ignored"]).toContain(made.is);
        }
      }
    }
  });

  it("a policy too large for the store is kept as a value that nobody can read, so that its pods fail closed", () => {
    const peers = Array.from({ length: 90_000 }, (_, i) => ({ ipBlock: { cidr: `10.${i >> 8}.${i & 255}.0/24` } }));
    const spec = { podSelector: {}, ingress: [{ from: peers }] };
    const made = reflect({ metadata: { name: "p", namespace: "ns" }, spec }, "networking.k8s.io/v1/NetworkPolicy");
    expect(made).toMatchObject({ is: "wish", problem: expect.stringContaining("bytes") });
    expect(() => decoded(made)).toThrow(/couldn't be kept: \d+ bytes are more than the store takes/);
    expect(JSON.stringify(made).length).toBeLessThan(MAX_REQUEST_BYTES / 100);
  });

  it("a policy with 10,000 peers is kept whole", () => {
    const peers = Array.from({ length: 10_000 }, (_, i) => ({ ipBlock: { cidr: `10.${i >> 8}.${i & 255}.0/24` } }));
    const spec = { podSelector: {}, ingress: [{ from: peers }] };
    const made = reflect({ metadata: { name: "p" }, spec }, "networking.k8s.io/v1/NetworkPolicy");
    expect(decoded(made)).toMatchObject({ ingress: [{ peers: expect.objectContaining({ length: 10_000 }) }] });
  });
});

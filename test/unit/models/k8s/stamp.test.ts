import * as fc from "fast-check";
import { expect, it } from "vitest";
import { K8S_CODECS } from "../../../../src/models/k8s/codecs.ts";
import { stamped, stampOf, unstamped } from "../../../../src/models/k8s/proto/stamp.ts";

const NOW = 1_790_000_000_123.5;
const value = (name: string): Uint8Array => K8S_CODECS.namespace.encode({ namespace: "", name, uid: "", labels: {} });

it("is read back, and leaves the object as it is", () => {
  const stamp = stamped(value("blue"), NOW);
  expect(stampOf(stamp)).toBe(NOW);
  expect(Buffer.from(unstamped(stamp))).toEqual(Buffer.from(value("blue")));
  expect(K8S_CODECS.namespace.decode("/heddle/k8s/namespace/blue", stamp)).toEqual(
    K8S_CODECS.namespace.decode("/heddle/k8s/namespace/blue", value("blue")),
  );
});

it("is not taken for one where a value has none, whatever it ends in", () => {
  fc.assert(
    fc.property(fc.stringMatching(/^[a-z]{0,20}q[a-z]{8}$/), (name) => {
      expect(stampOf(value(name))).toBeUndefined();
      expect(unstamped(value(name))).toHaveLength(value(name).length);
    }),
  );
});

it.each([
  ["nothing", ""],
  ["JSON of earlier Heddles", '{"v":1,"name":"q1234567"}'],
  ["bytes that mean nothing", "q12345678"],
])("%s has none", (_what, text) => {
  const bytes = Buffer.from(text);
  expect(stampOf(bytes)).toBeUndefined();
  expect(unstamped(bytes)).toHaveLength(bytes.length);
});

import { expect, it } from "vitest";
import { endpointSliceCodec } from "../../../src/models/k8s/endpoint-slice.ts";
import { k8sNodeCodec } from "../../../src/models/k8s/node.ts";
import { serviceCodec } from "../../../src/models/k8s/service.ts";
import { serviceCidrCodec } from "../../../src/models/k8s/service-cidr.ts";
import type { ReflectedInput } from "../../../src/services/api.ts";
import { serviceInput } from "../../../src/services/inputs.ts";
import { cidrInput, endpoint, nodeInput, service, slice } from "../../support/services/objects.ts";

const encoded = (input: ReflectedInput): readonly [string, Uint8Array] => {
  if (!input.object || "unreadable" in input.object) throw new Error("no object");
  switch (input.kind) {
    case "service":
      return [serviceCodec.key(input.at), serviceCodec.encode(input.object)];
    case "endpointslice":
      return [endpointSliceCodec.key(input.at), endpointSliceCodec.encode(input.object)];
    case "node":
      return [k8sNodeCodec.key(input.at), k8sNodeCodec.encode(input.object)];
    case "servicecidr":
      return [serviceCidrCodec.key(input.at), serviceCidrCodec.encode(input.object)];
  }
};

it.each([service(), slice([endpoint("10.1.0.1")]), nodeInput("n", ["192.168.0.1"]), cidrInput("k", "10.96.0.0/16")])(
  "an entry of the store becomes an input: $kind",
  (input) => {
    const [key, value] = encoded(input);
    expect(serviceInput(key, value)).toEqual(input);
    expect(serviceInput(key, undefined)).toEqual({ ...input, object: undefined });
    expect(serviceInput(key, Uint8Array.of(1))).toMatchObject({ object: { unreadable: expect.stringContaining(key) } });
  },
);

it("other kinds are none of its business, and keys must mean something", () => {
  expect(serviceInput("/heddle/k8s/pod/x/p", Uint8Array.of(1))).toBeUndefined();
  expect(() => serviceInput("/heddle/k8s/what/x", undefined)).toThrow("unknown key");
});

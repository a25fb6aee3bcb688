import * as fc from "fast-check";
import { expect, it } from "vitest";
import { parseIp } from "../../../src/base/ip/address.ts";
import { type ServiceNodeContext, ServiceRenderer } from "../../../src/dataplane/vpp/services/renderer.ts";
import type { Key } from "../../../src/kvscheduler/api/descriptor.ts";
import type { ServiceInput } from "../../../src/services/api.ts";
import { ServiceEngine } from "../../../src/services/engine.ts";
import { history } from "../../support/services/random-services.ts";
import { flawsOf } from "../../support/vpp/rendered.ts";

const NODE: ServiceNodeContext = {
  servesServices: true,
  addresses: ["192.168.0.1", "fd01::1"],
  gateways: ["10.1.0.1", "fd00:1::1"],
  podCIDRs: ["10.1.0.0/16", "fd00:1::/64"],
  clusterCIDRs: ["10.0.0.0/12", "fd00::/16"],
  uplinks: ["uplink-eth0"],
};

/** VPP's addresses are always among those of the node: what else changes those makes everything anew. */
const withAddresses = (batches: readonly (readonly ServiceInput[])[]): readonly ServiceInput[][] => {
  const own: ServiceInput = { kind: "own-addresses", addresses: NODE.addresses.map(parseIp) };
  return batches.map((batch, i) => [...(i === 0 ? [own] : []), ...batch.filter(({ kind }) => kind !== own.kind)]);
};

const itemsOf = (engine: ServiceEngine): Map<Key, unknown> =>
  new Map(
    [...new ServiceRenderer(() => NODE).renderServices(engine.rows())].map(({ key, value }) => [key, value] as const),
  );

it("changes lead to the same items of VPP's as everything anew", () => {
  fc.assert(
    fc.property(history, ([config, begin, edits]) => {
      const [first = [], ...batches] = withAddresses([begin, ...edits]);
      const engine = new ServiceEngine(config);
      engine.apply(first);
      const renderer = new ServiceRenderer(() => NODE);
      const items = new Map([...renderer.renderServices(engine.rows())].map(({ key, value }) => [key, value] as const));
      for (const batch of batches) {
        for (const { key, value } of renderer.renderServiceChanges(engine.apply(batch))) {
          if (value === undefined) items.delete(key);
          else items.set(key, value);
        }
        expect(items).toEqual(itemsOf(engine));
      }
    }),
    { numRuns: 150 },
  );
});

it("no item is refused, or there twice", () => {
  fc.assert(
    fc.property(history, ([config, begin]) => {
      const engine = new ServiceEngine(config);
      for (const batch of withAddresses([begin])) engine.apply(batch);
      const items = [...new ServiceRenderer(() => NODE).renderServices(engine.rows())];
      // What belongs to the node itself is not among them.
      expect(flawsOf(items, []).filter((flaw) => !flaw.endsWith(" for ever"))).toEqual([]);
    }),
    { numRuns: 100 },
  );
});

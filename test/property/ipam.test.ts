import assert from "node:assert/strict";
import * as fc from "fast-check";
import { expect, it } from "vitest";
import { millis, seconds } from "../../src/base/clock/clock.ts";
import { ManualClock } from "../../src/base/clock/manual-clock.ts";
import { low32, parseIp } from "../../src/base/ip/address.ts";
import { cidrContains, parseCidr } from "../../src/base/ip/cidr.ts";
import { gatewayOf } from "../../src/ipam/api.ts";
import { Ipam } from "../../src/ipam/ipam.ts";
import { IpamModel } from "../support/ipam-model.ts";

const QUARANTINE = seconds(10);
/** Small ones, so that they run full. */
const SUBNETS = [["10.1.2.0/28"], ["10.1.2.0/29", "10.9.0.0/30"], ["10.1.2.0/28", "fd10::/125"], ["fd10::10/124"]];

/** A process with the database that outlives it, and the model beside it. */
class World {
  readonly clock = new ManualClock();
  readonly model: IpamModel;
  readonly #subnets: readonly string[];
  readonly #database = new Map<string, string>();
  ipam: Ipam;

  constructor(subnets: readonly string[]) {
    this.#subnets = subnets;
    this.model = new IpamModel(subnets, this.clock, QUARANTINE);
    this.ipam = this.#open();
  }

  restart(): void {
    this.ipam = this.#open();
    const foreign = [...this.model.held].flatMap(([owner, ips]) => this.ipam.adopt(owner, ips));
    assert.deepEqual([this.ipam.problems, foreign], [[], []]);
  }

  /** After every step. */
  commit(): void {
    for (const [key, value] of this.ipam.takeChanges()) {
      if (value === undefined) this.#database.delete(key);
      else this.#database.set(key, value);
    }
    // The changes add up to the state, but for cursors that never moved.
    const state = this.ipam.state().filter(([key]) => this.#database.has(key) || !key.startsWith("ipam/cursor/"));
    assert.deepEqual(new Map(state), this.#database);
    this.model.checkUsage(this.ipam.usage());
  }

  #open(): Ipam {
    const subnets = this.#subnets.map(parseCidr);
    return new Ipam({
      nodeName: "n",
      nodeId: 1,
      subnets,
      clock: this.clock,
      quarantine: QUARANTINE,
      state: this.#database,
    });
  }
}

type Step = (w: World) => void;

const owner = fc.nat(16).map((n) => `pod${n}`);
const request = fc.option(fc.nat(17), { nil: undefined, freq: 4 });
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.tuple(owner, request).map(
      ([name, n]): Step =>
        (w) =>
          w.model.allocate(w.ipam, name, n === undefined ? n : w.model.usable[n]),
    ),
  },
  {
    weight: 6,
    arbitrary: owner.map(
      (name): Step =>
        (w) =>
          w.model.release(w.ipam, name),
    ),
  },
  {
    weight: 3,
    arbitrary: fc.nat(4000).map(
      (ms): Step =>
        (w) =>
          w.clock.advance(millis(ms)),
    ),
  },
  { weight: 1, arbitrary: fc.constant<Step>((w) => w.restart()) },
  {
    weight: 1,
    arbitrary: fc.array(owner, { maxLength: 12 }).map(
      (valid): Step =>
        (w) =>
          w.model.reconcile(w.ipam, valid),
    ),
  },
);

it("never gives an address twice, never loses one, and lets it rest, over any history with restarts", () => {
  fc.assert(
    fc.property(fc.constantFrom(...SUBNETS), fc.array(step, { maxLength: 120 }), (subnets, steps) => {
      const world = new World(subnets);
      for (const run of steps) {
        run(world);
        world.commit();
      }
      expect(new Set(world.ipam.allocations())).toHaveProperty("size", world.model.held.size);
    }),
    { numRuns: 150 },
  );
});

it("gives no two pods of a cluster IPv6 addresses with the same last 32 bits", () => {
  const nodes = fc.uniqueArray(fc.integer({ min: 1, max: 65_535 }), { minLength: 2, maxLength: 4 });
  fc.assert(
    fc.property(nodes, fc.integer({ min: 16, max: 96 }), fc.nat(65_000), (ids, prefix, start) => {
      const ips = ids.flatMap((nodeId, i) => {
        const subnet = parseCidr(`fd1${i}::/${prefix}`);
        const state = [[`ipam/cursor/fd1${i}::/${prefix}`, String(start)]] as const;
        const ipam = new Ipam({ nodeName: "n", nodeId, subnets: [subnet], clock: new ManualClock(), state });
        const own = Array.from({ length: 50 }, (_, pod) =>
          ipam.allocate(`pod${pod}`).ips.map((ip) => ip.address),
        ).flat();
        expect(own.every((ip) => cidrContains(subnet, ip) && ip !== gatewayOf(subnet))).toBe(true);
        return own;
      });
      const suffixes = new Set(ips.map(low32));
      expect(suffixes.size).toBe(50 * ids.length);
      expect(suffixes.has(low32(parseIp("::1")))).toBe(false); // what gateways end in
    }),
    { numRuns: 50 },
  );
});

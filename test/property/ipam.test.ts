import fc from "fast-check";
import { expect, it } from "vitest";
import { millis, seconds } from "../../src/base/clock/clock.ts";
import { ManualClock } from "../../src/base/clock/manual-clock.ts";
import { type IpAddress, low32, parseIp } from "../../src/base/ip/address.ts";
import { cidrContains, nthAddress, parseCidr } from "../../src/base/ip/cidr.ts";
import { gatewayOf, IpamError } from "../../src/ipam/api.ts";
import { Ipam } from "../../src/ipam/ipam.ts";

const QUARANTINE = seconds(10);

type Step =
  | { readonly do: "allocate"; readonly owner: string; readonly request: number | undefined }
  | { readonly do: "advance"; readonly by: number }
  | { readonly do: "crash" }
  | { readonly do: "reconcile"; readonly valid: readonly string[] }
  | { readonly do: "release"; readonly owner: string };

const owner = fc.nat(14).map((n) => `pod${n}`);
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant("allocate" as const),
      owner,
      request: fc.option(fc.nat(17), { nil: undefined, freq: 4 }),
    }),
  },
  { weight: 6, arbitrary: fc.record({ do: fc.constant("release" as const), owner }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("advance" as const), by: fc.nat(15_000) }) },
  { weight: 1, arbitrary: fc.constant({ do: "crash" as const }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant("reconcile" as const), valid: fc.array(owner, { maxLength: 12 }) }),
  },
);

/** Small ones, so that they run full; each with the addresses that pods may have, by a scan of the whole subnet. */
const SUBNETS = [["10.1.2.0/28"], ["10.1.2.0/29", "10.9.0.0/30"], ["10.1.2.0/28", "fd10::/125"], ["fd10::10/124"]];

const usableOf = (subnet: string): IpAddress[] => {
  const c = parseCidr(subnet);
  const size = 2 ** ((c.family === 4 ? 32 : 128) - c.prefix);
  const last = c.family === 4 ? size - 2 : size - 1;
  return Array.from({ length: last - 1 }, (_, i) => nthAddress(c, i + 2));
};

it("never gives an address twice, never loses one, and lets it rest, over any history with crashes", () => {
  fc.assert(
    fc.property(fc.constantFrom(...SUBNETS), fc.array(step, { maxLength: 120 }), (subnets, steps) => {
      const clock = new ManualClock();
      const database = new Map<string, string>();
      const open = () =>
        new Ipam({
          nodeName: "n",
          nodeId: 1,
          subnets: subnets.map(parseCidr),
          clock,
          quarantine: QUARANTINE,
          state: [...database],
        });
      let ipam = open();
      // The model: who has what, and when each address was released last.
      const held = new Map<string, readonly IpAddress[]>();
      const released = new Map<IpAddress, number>();
      const usable = subnets.flatMap(usableOf);
      const families = ([4, 6] as const)
        .map((f) => usable.filter((ip) => ip.includes(":") === (f === 6)))
        .filter((ips) => ips.length > 0);
      const inUse = () => new Set([...held.values()].flat());
      const resting = (ip: IpAddress) => clock.now() - (released.get(ip) ?? Number.NEGATIVE_INFINITY) < QUARANTINE;
      const drop = (name: string) => {
        for (const ip of held.get(name) ?? []) released.set(ip, clock.now());
        held.delete(name);
      };

      for (const s of steps) {
        if (s.do === "allocate") {
          const request = s.request === undefined ? undefined : usable[s.request];
          const used = inUse();
          const before = held.get(s.owner);
          let got: readonly IpAddress[] | IpamError;
          try {
            const { ips } = ipam.allocate(s.owner, { requested: request === undefined ? [] : [request] });
            got = ips.map((ip) => ip.address);
          } catch (e) {
            if (!(e instanceof IpamError)) throw e;
            got = e;
          }
          if (before) {
            if (request === undefined || before.includes(request)) expect(got).toEqual(before);
            else expect(got).toMatchObject({ code: "CONFLICT" });
            continue;
          }
          const full = families.some((ips) => ips.every((ip) => used.has(ip)) && !(request && ips.includes(request)));
          if (request !== undefined && used.has(request)) {
            expect(got).toBeInstanceOf(IpamError);
            expect(["IN_USE", "EXHAUSTED"]).toContain((got as IpamError).code);
            continue;
          }
          if (full) {
            expect(got).toMatchObject({ code: "EXHAUSTED" });
            continue;
          }
          if (got instanceof IpamError) throw got;
          expect(got).toHaveLength(families.length);
          for (const [i, ips] of families.entries()) {
            const ip = got[i] as IpAddress;
            expect(ips).toContain(ip);
            expect(used.has(ip)).toBe(false);
            if (ip === request) continue;
            const free = ips.filter((x) => !used.has(x));
            if (free.every(resting)) {
              const longest = Math.min(...free.map((x) => released.get(x) ?? 0));
              expect(released.get(ip)).toBe(longest);
            } else {
              expect(resting(ip)).toBe(false);
            }
          }
          held.set(s.owner, got);
        } else if (s.do === "release") {
          expect(ipam.release(s.owner).map((ip) => ip.address)).toEqual(held.get(s.owner) ?? []);
          drop(s.owner);
        } else if (s.do === "advance") {
          clock.advance(millis(s.by));
        } else if (s.do === "reconcile") {
          const leaked = [...held.keys()].filter((name) => !s.valid.includes(name));
          expect(new Set(ipam.reconcile(s.valid).map((a) => a.owner))).toEqual(new Set(leaked));
          for (const name of leaked) drop(name);
        } else {
          ipam = open();
          expect(ipam.problems).toEqual([]);
          for (const [name, ips] of held) expect(ipam.adopt(name, ips)).toEqual([]);
        }
        for (const [key, value] of ipam.takeChanges()) {
          if (value === undefined) database.delete(key);
          else database.set(key, value);
        }
        // Deltas and snapshot tell the same, once something has been written at all.
        const state = new Map(ipam.state());
        for (const [key, value] of database) expect(state.get(key)).toBe(value);
        for (const [key] of state) if (key.startsWith("ipam/released/")) expect(database.has(key)).toBe(true);
        const usage = ipam.usage();
        expect(usage.reduce((sum, u) => sum + u.used, 0)).toBe(inUse().size);
        expect(usage.reduce((sum, u) => sum + u.capacity, 0)).toBe(usable.length);
      }
    }),
    { numRuns: 150 },
  );
});

it("gives no two pods of a cluster IPv6 addresses with the same last 32 bits", () => {
  const nodes = fc.uniqueArray(fc.integer({ min: 1, max: 65_535 }), { minLength: 2, maxLength: 4 });
  fc.assert(
    fc.property(nodes, fc.integer({ min: 16, max: 96 }), fc.nat(65_000), (ids, prefix, start) => {
      const seen = new Set<number>();
      for (const [i, nodeId] of ids.entries()) {
        const subnet = parseCidr(`fd1${i}::/${prefix}`);
        const state: [string, string][] = [[`ipam/cursor/fd1${i}::/${prefix}`, String(start)]];
        const ipam = new Ipam({ nodeName: "n", nodeId, subnets: [subnet], clock: new ManualClock(), state });
        for (let pod = 0; pod < 50; pod++) {
          const ip = ipam.allocate(`pod${pod}`).ips[0]?.address as IpAddress;
          expect(cidrContains(subnet, ip)).toBe(true);
          expect(ip).not.toBe(gatewayOf(subnet));
          expect(seen.has(low32(ip))).toBe(false);
          seen.add(low32(ip));
        }
      }
      expect(seen.has(low32(parseIp("::1")))).toBe(false);
    }),
    { numRuns: 50 },
  );
});

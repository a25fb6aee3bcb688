import assert from "node:assert/strict";
import type { Clock } from "../../src/base/clock/clock.ts";
import { familyOf, type IpAddress } from "../../src/base/ip/address.ts";
import { nthAddress, parseCidr } from "../../src/base/ip/cidr.ts";
import { IpamError, type PoolUsage } from "../../src/ipam/api.ts";
import type { Ipam } from "../../src/ipam/ipam.ts";

/** What IPAM should do, by scanning every address of small subnets; each step is done to both and compared. */
export class IpamModel {
  readonly held = new Map<string, readonly IpAddress[]>();
  /** When each address was released last. */
  readonly #released = new Map<IpAddress, number>();
  readonly usable: readonly IpAddress[];
  /** `usable`, a list for each family that there is, IPv4 first. */
  readonly #families: readonly (readonly IpAddress[])[];
  readonly #clock: Pick<Clock, "now">;
  readonly #quarantine: number;

  constructor(subnets: readonly string[], clock: Pick<Clock, "now">, quarantine: number) {
    this.usable = subnets.flatMap(usableOf);
    this.#families = [4, 6].map((f) => this.usable.filter((ip) => familyOf(ip) === f)).filter((ips) => ips.length > 0);
    this.#clock = clock;
    this.#quarantine = quarantine;
  }

  allocate(ipam: Ipam, owner: string, request: IpAddress | undefined): void {
    const got = outcome(ipam, owner, request);
    const before = this.held.get(owner);
    const used = this.#inUse();
    const full = this.#families.some((ips) => ips.every((ip) => used.has(ip)) && !(request && ips.includes(request)));
    if (before) {
      if (request === undefined || before.includes(request)) assert.deepEqual(got, before);
      else assert.equal(codeOf(got), "CONFLICT");
    } else if (request !== undefined && used.has(request)) {
      assert.match(codeOf(got), full ? /^(EXHAUSTED|IN_USE)$/ : /^IN_USE$/);
    } else if (full) {
      assert.equal(codeOf(got), "EXHAUSTED");
    } else if (got instanceof IpamError) {
      throw got;
    } else {
      assert.equal(got.length, this.#families.length);
      for (const [i, ips] of this.#families.entries()) this.#checkChoice(got[i], ips, used, request);
      this.held.set(owner, got);
    }
  }

  release(ipam: Ipam, owner: string): void {
    const released = ipam.release(owner).map((ip) => ip.address);
    assert.deepEqual(released, this.held.get(owner) ?? []);
    this.#drop(owner);
  }

  reconcile(ipam: Ipam, valid: readonly string[]): void {
    const leaked = [...this.held.keys()].filter((owner) => !valid.includes(owner));
    const freed = ipam.reconcile(valid).map((a) => a.owner);
    assert.deepEqual(new Set(freed), new Set(leaked));
    for (const owner of leaked) this.#drop(owner);
  }

  checkUsage(usage: readonly PoolUsage[]): void {
    const total = (what: "capacity" | "used") => usage.reduce((sum, u) => sum + u[what], 0);
    assert.deepEqual([total("used"), total("capacity")], [this.#inUse().size, this.usable.length]);
  }

  /** An address of the right family that was free and has rested; if none has, the one that was released first. */
  #checkChoice(
    ip: IpAddress | undefined,
    ips: readonly IpAddress[],
    used: ReadonlySet<IpAddress>,
    request: IpAddress | undefined,
  ): void {
    const free = ips.filter((x) => !used.has(x));
    const rested = free.filter((x) => !this.#rests(x));
    const first = Math.min(...free.map((x) => this.#released.get(x) ?? Number.NEGATIVE_INFINITY));
    const longest = free.filter((x) => (this.#released.get(x) ?? Number.NEGATIVE_INFINITY) === first);
    const asked = request !== undefined && ips.includes(request) ? [request] : undefined;
    const candidates = asked ?? (rested.length > 0 ? rested : longest);
    assert.ok(ip !== undefined && candidates.includes(ip), `${ip} is not among ${candidates.join(", ")}`);
  }

  #drop(owner: string): void {
    for (const ip of this.held.get(owner) ?? []) this.#released.set(ip, this.#clock.now());
    this.held.delete(owner);
  }

  #inUse(): ReadonlySet<IpAddress> {
    return new Set([...this.held.values()].flat());
  }

  #rests(ip: IpAddress): boolean {
    const at = this.#released.get(ip);
    return at !== undefined && this.#clock.now() - at < this.#quarantine;
  }
}

function outcome(ipam: Ipam, owner: string, request: IpAddress | undefined): readonly IpAddress[] | IpamError {
  try {
    const { ips } = ipam.allocate(owner, { requested: request === undefined ? [] : [request] });
    return ips.map((ip) => ip.address);
  } catch (e) {
    if (e instanceof IpamError) return e;
    throw e;
  }
}

const codeOf = (got: readonly IpAddress[] | IpamError): string =>
  got instanceof IpamError ? got.code : got.join(", ");

/** All but network and gateway, and IPv4's broadcast address. For subnets of four addresses or more, without node suffix. */
function usableOf(subnet: string): IpAddress[] {
  const c = parseCidr(subnet);
  const size = 2 ** ((c.family === 4 ? 32 : 128) - c.prefix);
  return Array.from({ length: size - (c.family === 4 ? 3 : 2) }, (_, i) => nthAddress(c, i + 2));
}

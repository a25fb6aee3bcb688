import type { HostPort, SandboxId } from "./api.ts";

/** Every address of a family. */
const ANY = "*";

/** Which sandbox has which port of the node. A port on every address collides with the same port on any. */
export class HostPorts {
  /** `tcp/80 4` (protocol, port, family) → address or "*" → owner. */
  readonly #owners = new Map<string, Map<string, SandboxId>>();

  /** The first port that another sandbox has, with that sandbox; undefined when all are free. */
  conflict(id: SandboxId, ports: readonly HostPort[]): { port: HostPort; owner: SandboxId } | undefined {
    for (const port of ports) {
      for (const [slot, address] of slots(port)) {
        for (const [taken, owner] of this.#owners.get(slot) ?? []) {
          if (owner !== id && (taken === ANY || address === ANY || taken === address)) return { port, owner };
        }
      }
    }
    return undefined;
  }

  claim(id: SandboxId, ports: readonly HostPort[]): void {
    for (const [slot, address] of ports.flatMap(slots)) {
      let owners = this.#owners.get(slot);
      if (!owners) this.#owners.set(slot, (owners = new Map()));
      owners.set(address, id);
    }
  }

  release(id: SandboxId, ports: readonly HostPort[]): void {
    for (const [slot, address] of ports.flatMap(slots)) {
      const owners = this.#owners.get(slot);
      if (owners?.get(address) === id) owners.delete(address);
      if (owners?.size === 0) this.#owners.delete(slot);
    }
  }
}

/** No address stands for both families, `0.0.0.0` and `::` for all of their own. */
function slots({ protocol, hostPort, hostIp }: HostPort): (readonly [slot: string, address: string])[] {
  const slot = (family: 4 | 6) => `${protocol}/${hostPort} ${family}`;
  if (hostIp === undefined) {
    return [
      [slot(4), ANY],
      [slot(6), ANY],
    ];
  }
  const any = hostIp === "0.0.0.0" || hostIp === "::";
  return [[slot(hostIp.includes(":") ? 6 : 4), any ? ANY : hostIp]];
}

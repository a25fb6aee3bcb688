import type { HostPort, SandboxId } from "./api.ts";

/** Which sandbox has which port of the node. A port without `hostIp` collides with the same port on any address. */
export class HostPorts {
  /** `tcp/80` → address (or "*") → owner. */
  readonly #owners = new Map<string, Map<string, SandboxId>>();

  /** The first port that another sandbox has, with that sandbox; undefined when all are free. */
  conflict(id: SandboxId, ports: readonly HostPort[]): { port: HostPort; owner: SandboxId } | undefined {
    for (const port of ports) {
      const taken = this.#owners.get(portKey(port));
      if (!taken) continue;
      for (const [ip, owner] of taken) {
        if (owner !== id && (ip === "*" || !port.hostIp || ip === port.hostIp)) return { port, owner };
      }
    }
    return undefined;
  }

  claim(id: SandboxId, ports: readonly HostPort[]): void {
    for (const port of ports) {
      let owners = this.#owners.get(portKey(port));
      if (!owners) this.#owners.set(portKey(port), (owners = new Map()));
      owners.set(port.hostIp ?? "*", id);
    }
  }

  release(id: SandboxId, ports: readonly HostPort[]): void {
    for (const port of ports) {
      const owners = this.#owners.get(portKey(port));
      const ip = port.hostIp ?? "*";
      if (owners?.get(ip) === id) owners.delete(ip);
      if (owners?.size === 0) this.#owners.delete(portKey(port));
    }
  }
}

const portKey = (port: HostPort): string => `${port.protocol}/${port.hostPort}`;

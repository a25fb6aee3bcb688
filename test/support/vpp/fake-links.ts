import type { TakenLinkRecords } from "../../../src/dataplane/linux/taken-link/descriptor.ts";
import type { FoundLink } from "../../../src/dataplane/linux/taken-link/found.ts";
import type { KernelLinks } from "../../../src/dataplane/vpp/uplink/links.ts";
import type { TakenLinkValue } from "../../../src/models/linux.ts";

export const foundLink = (more: Partial<FoundLink> = {}): FoundLink => ({
  index: 2,
  mac: "02:00:00:00:00:07",
  mtu: 1500,
  addresses: ["192.168.0.1/24", "fd00::1/64"],
  routes: [{ dst: "0.0.0.0/0", gateway: "192.168.0.254", protocol: 4 }],
  gro: true,
  ...more,
});

/** Links of a kernel that nobody has to have. */
export class FakeLinks implements KernelLinks {
  /** `ens3 down` */
  readonly changes: string[] = [];
  readonly #links = new Map<string, FoundLink>();

  add(name: string, link: FoundLink = foundLink()): void {
    this.#links.set(name, link);
  }

  async find(name: string): Promise<FoundLink | undefined> {
    await Promise.resolve();
    return this.#links.get(name);
  }

  async set(name: string, up: boolean): Promise<void> {
    await Promise.resolve();
    this.changes.push(`${name} ${up ? "up" : "down"}`);
  }
}

/** In memory; each change told to `log`. */
export class FakeRecords implements TakenLinkRecords {
  readonly #links = new Map<string, TakenLinkValue>();
  readonly #log: (what: string) => void;

  constructor(log: (what: string) => void = () => {}, ...links: readonly TakenLinkValue[]) {
    this.#log = log;
    for (const value of links) this.#links.set(value.link, value);
  }

  all(): ReadonlyMap<string, TakenLinkValue> {
    return this.#links;
  }

  async set(link: string, value: TakenLinkValue | undefined): Promise<void> {
    await Promise.resolve();
    this.#log(`${value ? "record" : "forget"} ${link}`);
    if (value) this.#links.set(link, value);
    else this.#links.delete(link);
  }
}

import type { IpAddress, IpFamily } from "../../../base/ip/address.ts";
import type { PolicyView, SetChange, SetElement, SetId, SetRow } from "../../../policy/api.ts";
import { Networks } from "./networks.ts";
import { type Ports, portsText, type Reach } from "./runs.ts";

/** With so many changes of a set everything anew is no dearer. */
const MANY = 256;

/** Of one family. */
interface Elements {
  readonly family: IpFamily;
  readonly elements: readonly SetElement[];
}

/** Sets as networks, once for all lists that are about them. A change costs what has changed. */
export class Sets {
  readonly #sets = new Map<SetId, SetReach>();

  /** Whom the elements of the set are. */
  of(id: SetId): readonly Reach[] {
    return this.#sets.get(id)?.all ?? [];
  }

  /** All sets that there are. */
  replace(rows: readonly SetRow[]): void {
    this.#sets.clear();
    for (const [id, families] of Map.groupBy(rows, (row) => row.id)) this.#sets.set(id, new SetReach(families));
  }

  /** `view`: the sets, as they are after these changes or later ones. */
  change(changes: readonly SetChange[], view: PolicyView): void {
    for (const [id, families] of Map.groupBy(changes, (change) => change.id)) {
      const known = this.#sets.get(id);
      const many = families.some(({ added, removed }) => added.length + removed.length > MANY);
      if (families.some(({ what }) => what === "deleted")) this.#sets.delete(id);
      else if (!known || many) this.#sets.set(id, new SetReach(view.set(id)));
      else for (const change of families) known.change(change);
    }
  }
}

/** Addresses of a set by their ports: one if it is a set of addresses, and family. */
class SetReach {
  /** By {@link reachKey}. */
  readonly #reaches = new Map<string, Reach>();
  #all: readonly Reach[] | undefined;

  constructor(families: readonly Elements[]) {
    for (const { family, elements } of families) {
      for (const [key, same] of byReach(family, elements)) this.#put(key, same, Networks.of(same.map(({ ip }) => ip)));
    }
  }

  /** In an order that does not depend on the history. */
  get all(): readonly Reach[] {
    return (this.#all ??= [...this.#reaches].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, reach]) => reach));
  }

  change({ family, added, removed }: SetChange): void {
    const came = byReach(family, added);
    const gone = byReach(family, removed);
    for (const key of new Set([...came.keys(), ...gone.keys()])) {
      const [come, go] = [came.get(key) ?? [], gone.get(key) ?? []];
      const networks = this.#reaches.get(key)?.networks;
      const now = networks ? networks.changed(addresses(come), addresses(go)) : Networks.of(addresses(come));
      this.#put(key, [...come, ...go], now);
    }
  }

  #put(key: string, [like]: readonly SetElement[], networks: Networks | undefined): void {
    this.#all = undefined;
    if (networks) this.#reaches.set(key, { networks, ports: portsOf(like) });
    else this.#reaches.delete(key);
  }
}

const addresses = (elements: readonly SetElement[]): IpAddress[] => elements.map(({ ip }) => ip);

const byReach = (family: IpFamily, elements: readonly SetElement[]): Map<string, SetElement[]> =>
  Map.groupBy(elements, (e) => `${family} ${portsText(portsOf(e))}`);

function portsOf({ protocol, port }: Partial<SetElement> = {}): Ports | undefined {
  return protocol === undefined || port === undefined ? undefined : { protocol, first: port, last: port };
}

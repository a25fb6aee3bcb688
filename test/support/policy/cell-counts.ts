import type { CaseWay } from "./catalogue/ways.ts";
import type { Cell, PolicyCase } from "./catalogue.ts";

/** Connections that were tried, by case, way and family, on one dataplane. */
export class CellCounts {
  readonly #dataplane: string;
  /** By case, then by way: of IPv4, of IPv6. */
  readonly #cases = new Map<string, Map<CaseWay, [number, number]>>();
  #leftOut = 0;

  constructor(dataplane: string) {
    this.#dataplane = dataplane;
  }

  /** `leftOut`: those that cannot be tried here. */
  add({ id }: PolicyCase, way: CaseWay, cells: readonly Cell[], leftOut: number): void {
    const ways = this.#cases.get(id) ?? new Map<CaseWay, [number, number]>();
    this.#cases.set(id, ways);
    const [v4, v6] = ways.get(way) ?? [0, 0];
    const ofV4 = cells.filter(({ family }) => family === 4).length;
    ways.set(way, [v4 + ofV4, v6 + cells.length - ofV4]);
    this.#leftOut += leftOut;
  }

  /** `linux: create 1200 IPv4, 1200 IPv6; …`, for each case as well if asked for. */
  lines(byCase: boolean): string[] {
    const all = new Map<CaseWay, [number, number]>();
    for (const ways of this.#cases.values()) {
      for (const [way, [v4, v6]] of ways) {
        const [before4, before6] = all.get(way) ?? [0, 0];
        all.set(way, [before4 + v4, before6 + v6]);
      }
    }
    const each = byCase ? [...this.#cases].map(([id, ways]) => `${this.#dataplane}: ${id}: ${text(ways)}`) : [];
    const cases = `${this.#cases.size} cases, ${this.#leftOut} connections can't be tried here`;
    return [...each, `${this.#dataplane}: ${text(all)}; ${cases}`];
  }
}

const text = (ways: ReadonlyMap<CaseWay, readonly [number, number]>): string =>
  [...ways].map(([way, [v4, v6]]) => `${way} ${v4} IPv4, ${v6} IPv6`).join("; ");

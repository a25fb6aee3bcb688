import { inBursts } from "../../../base/queue/bursts.ts";
import type { Element, VppApi, VppClient } from "../binapi/index.ts";
import { type InterfaceTables, OWN_TABLE, type VppTarget } from "../target.ts";
import { type ReadContext, Readings, watched } from "./readings.ts";

/** Questions under way at a time. */
const BURST = 128;

/** What a session needs of a client. */
export type SessionClient = VppApi & Pick<VppClient, "onState">;

/**
 * What the descriptors of one VPP share: its API, and which interface of ours has which number. The descriptor of
 * interfaces keeps the map: what it creates, removes and finds. When the connection is made anew it may be to another
 * VPP: the map is empty then, until the next resync has read it.
 */
export class VppSession implements VppTarget, Disposable {
  readonly api: VppApi;
  readonly #readings = new Readings();
  readonly #indices = new Map<string, number>();
  readonly #names = new Map<number, string>();
  #generation = 0;
  #listening: Disposable | undefined;

  private constructor(api: VppApi) {
    this.api = watched(api, () => this.#readings.forget());
  }

  /** The session of a client that is or will be connected. The client stays its owner's. */
  static of(client: SessionClient): VppSession {
    const session = new VppSession(client);
    session.#listening = client.onState((state) => {
      if (state.s === "ready") session.#renew();
    });
    return session;
  }

  /**
   * Counts the connections made since this began. What was read from VPP under another generation says nothing any more:
   * its process ID does not tell one VPP from the next, as both may be number 1 of their container.
   */
  get generation(): number {
    return this.#generation;
  }

  interfaces(ctx: ReadContext): Promise<readonly Element<"sw_interface_dump">[]> {
    const input = { name_filter_valid: false };
    return this.#readings.of(ctx, "interfaces", () =>
      this.api.dump("sw_interface_dump", input, { signal: ctx.signal }),
    );
  }

  /** There is no dump. */
  tables(ctx: ReadContext): Promise<InterfaceTables> {
    return this.#readings.of(ctx, "tables", async () => {
      const { signal } = ctx;
      const indices = (await this.interfaces(ctx)).map((d) => d.sw_if_index);
      const read = async (is_ipv6: boolean): Promise<Map<number, number>> => {
        const ask = (sw_if_index: number) =>
          this.api.request("sw_interface_get_table", { sw_if_index, is_ipv6 }, { signal });
        const answers = await inBursts(BURST, indices, ask);
        return new Map(answers.map(({ vrf_id }, i) => [indices[i]!, vrf_id]));
      };
      const [ipv4, ipv6] = await Promise.all([read(false), read(true)]);
      const tables = { 4: ipv4, 6: ipv6 };
      return (index, family) => tables[family].get(index) ?? OWN_TABLE;
    });
  }

  indexOf(name: string): number | undefined {
    return this.#indices.get(name);
  }

  nameOf(index: number): string | undefined {
    return this.#names.get(index);
  }

  /** An interface of ours was made. */
  add(name: string, index: number): void {
    this.remove(name);
    const former = this.#names.get(index);
    if (former !== undefined) this.#indices.delete(former);
    this.#indices.set(name, index);
    this.#names.set(index, name);
  }

  remove(name: string): void {
    const index = this.#indices.get(name);
    if (index === undefined) return;
    this.#indices.delete(name);
    this.#names.delete(index);
  }

  /** Only these are there: all were read. */
  replace(interfaces: readonly (readonly [name: string, index: number])[]): void {
    const isSame = interfaces.every(([name, index]) => this.#names.get(index) === name);
    if (isSame && interfaces.length === this.#names.size) return;
    this.#clear();
    for (const [name, index] of interfaces) this.add(name, index);
  }

  [Symbol.dispose](): void {
    this.#listening?.[Symbol.dispose]();
  }

  #renew(): void {
    this.#generation++;
    this.#readings.forget();
    this.#clear();
  }

  #clear(): void {
    this.#indices.clear();
    this.#names.clear();
  }
}

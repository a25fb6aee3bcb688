import type { Element, VppApi, VppClient } from "../binapi/index.ts";
import type { VppTarget } from "../target.ts";
import { type ReadContext, Readings, watched } from "./readings.ts";

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

  tableOf(ctx: ReadContext, sw_if_index: number, family: 4 | 6): Promise<number> {
    return this.#readings.of(ctx, `table ${sw_if_index} ${family}`, async () => {
      const input = { sw_if_index, is_ipv6: family === 6 };
      return (await this.api.request("sw_interface_get_table", input, { signal: ctx.signal })).vrf_id;
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
  replace(interfaces: Iterable<readonly [name: string, index: number]>): void {
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

import { systemClock } from "../../../src/base/clock/clock.ts";
import { encodeWire, type Wire, wireKey } from "../../../src/models/wire.ts";
import { openStore } from "../../../src/stores/open.ts";
import type { WireStatus } from "../../../src/wires/api.ts";
import { until } from "../until.ts";
import type { VppLab } from "./vpp-lab.ts";

/** What nodes of a lab are told of wires, by its store, and what they tell. */
export class WireLab {
  readonly #vpp: VppLab;

  constructor(vpp: VppLab) {
    this.#vpp = vpp;
  }

  async put(node: string, wire: Wire): Promise<void> {
    await this.putText(node, wire.name, Buffer.from(encodeWire(wire)).toString());
  }

  async putText(node: string, name: string, text: string): Promise<void> {
    await using store = await this.#store();
    await store.put(wireKey(node, name), Buffer.from(text));
  }

  async remove(node: string, name: string): Promise<void> {
    await using store = await this.#store();
    await store.delete(wireKey(node, name));
  }

  async status(node: string): Promise<readonly WireStatus[]> {
    const status = (await this.#vpp.lab.agentStatus(node)) as { readonly wires?: readonly WireStatus[] };
    return status.wires ?? [];
  }

  /** Waits until a node tells these states, in the order of the wires' names. */
  async becomes(node: string, states: Readonly<Record<string, WireStatus["state"]>>): Promise<void> {
    let last: readonly WireStatus[] = [];
    const reached = async (): Promise<boolean> => {
      last = await this.status(node);
      const found = Object.fromEntries(last.map(({ name, state }) => [name, state]));
      return JSON.stringify(found) === JSON.stringify(states);
    };
    await until(`wires of ${node} ${JSON.stringify(states)}`, reached, 15_000).catch((e: unknown) => {
      throw new Error(`${String(e)}; they are ${JSON.stringify(last)}`);
    });
  }

  async #store() {
    const [socket] = this.#vpp.lab.state().store.endpoints;
    const store = await openStore({ kind: "embedded", socket }, { clock: systemClock });
    return Object.assign(store, { [Symbol.asyncDispose]: () => store.close() });
  }
}

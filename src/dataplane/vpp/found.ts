import { Mapped } from "../../base/memo/mapped.ts";
import type { Retrieved } from "../../kvscheduler/api/descriptor.ts";
import type { VppNames } from "./target.ts";

/** What is told of a thing on an interface: an element of a dump, or a part of one. */
interface OnInterface {
  readonly sw_if_index: number;
}

/**
 * What lies on interfaces of ours, as it is read back: an item for each element of a dump. Most of it is as it was the last time,
 * and then the item may be the same, too.
 */
export class FoundOnInterfaces<E, V extends { readonly interface: string }, M = undefined> {
  readonly #vpp: VppNames;
  readonly #at: (element: E) => OnInterface;
  readonly #mapped = new Mapped<E, Retrieved<V, M> | undefined>();
  #all: readonly (Retrieved<V, M> | undefined)[] = [];
  /** Of {@link #all}, those that are there. */
  #ours: readonly Retrieved<V, M>[] = [];

  constructor(vpp: VppNames, at: (element: E) => OnInterface) {
    this.#vpp = vpp;
    this.#at = at;
  }

  /** `former`: the item that was made of this element, on an interface of this name. */
  of(
    elements: readonly E[],
    make: (element: E, name: string, former: Retrieved<V, M> | undefined) => Retrieved<V, M> | undefined,
  ): readonly Retrieved<V, M>[] {
    const made = this.#mapped.of(elements, (element, former) => {
      const name = this.#vpp.nameOf(this.#at(element).sw_if_index);
      return name === undefined
        ? undefined
        : make(element, name, former?.value.interface === name ? former : undefined);
    });
    if (made !== this.#all) {
      this.#all = made;
      this.#ours = made.filter((item) => item !== undefined);
    }
    return this.#ours;
  }
}

import type { Dependency } from "../../kvscheduler/api/descriptor.ts";
import { interfaceKey } from "../../models/vpp/interface.ts";
import { type Element, isNotFound, type VppApi } from "./binapi/index.ts";
import type { ReadContext } from "./session/readings.ts";

/** VPP's API, and which of its interfaces are ours. */
export interface VppNames {
  readonly api: VppApi;
  /** sw_if_index of an interface of ours; undefined when VPP has none of this name. */
  indexOf(name: string): number | undefined;
  /** The inverse; undefined for interfaces that are not ours. */
  nameOf(index: number): string | undefined;
}

/** VPP as descriptors of things on interfaces see it, with what several of them read. */
export interface VppTarget extends VppNames {
  /** All of VPP's interfaces, ours or not; read once for a transaction, until something is changed. */
  interfaces(ctx: ReadContext): Promise<readonly Element<"sw_interface_dump">[]>;
  /** Numbers of the tables that interfaces are in; likewise. */
  tables(ctx: ReadContext): Promise<InterfaceTables>;
}

/** VPP's number of an interface's table. */
export type InterfaceTables = (sw_if_index: number, family: 4 | 6) => number;

/** VPP's own table: where an interface is that was not put into another one. */
export const OWN_TABLE = 0;

/** sw_if_index that stands for none, or in a dump for all. */
export const NO_INDEX = 0xffff_ffff;

/** The descriptor that knows interfaces: read before what lies on them. */
export const INTERFACES = "vpp-interface";

/** What lies on an interface goes before it: VPP gives the number, with what is left on it, to the next interface. */
export const onInterface = (name: string): Dependency => ({ label: "interface", key: interfaceKey(name) });

/** The number of an interface that a dependency says is there. */
export function indexOf(vpp: VppNames, name: string): number {
  const index = vpp.indexOf(name);
  // Retried; by then it is either back or the dependency is unmet.
  if (index === undefined) throw new Error(`VPP has no interface ${name}`);
  return index;
}

/** Removes what may be gone already. */
export async function ifThere(remove: () => Promise<unknown>): Promise<void> {
  try {
    await remove();
  } catch (e) {
    if (!isNotFound(e)) throw e;
  }
}

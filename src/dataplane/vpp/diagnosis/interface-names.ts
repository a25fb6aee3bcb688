import type { Element, VppApi } from "../binapi/index.ts";
import { parseInterfaceTag } from "../interface/tag.ts";
import { DiagnosisError } from "./errors.ts";

/** An interface as it is called in VPP and, if it is ours, in our models. */
export interface NamedInterface {
  readonly swIfIndex: number;
  /** VPP's name: `host-hd1`. */
  readonly vppName: string;
  /** Our name, from the tag. */
  readonly name?: string;
  /** The pod that it is of: `namespace/name`. */
  readonly pod?: string;
}

/** `namespace/name` of pods by our names of their interfaces. */
export type PodNames = ReadonlyMap<string, string>;

/** What VPP's texts call interfaces by, and what we call them. */
export class InterfaceNames {
  readonly #byIndex = new Map<number, NamedInterface>();
  readonly #byVppName = new Map<string, NamedInterface>();
  readonly #byName = new Map<string, NamedInterface>();
  readonly #byHardware = new Map<number, NamedInterface>();

  /** @param hardware VPP's hw_if_index of its hardware interfaces, by their names */
  constructor(interfaces: Iterable<NamedInterface>, hardware: ReadonlyMap<string, number> = new Map()) {
    for (const i of interfaces) {
      this.#byIndex.set(i.swIfIndex, i);
      this.#byVppName.set(i.vppName, i);
      if (i.name !== undefined) this.#byName.set(i.name, i);
      if (i.pod !== undefined) this.#byName.set(i.pod, i);
    }
    for (const [vppName, index] of hardware) {
      const found = this.#byVppName.get(vppName);
      if (found) this.#byHardware.set(index, found);
    }
  }

  static async read(api: Pick<VppApi, "dump" | "cli">, pods: PodNames): Promise<InterfaceNames> {
    const [all, hardware] = await Promise.all([
      api.dump("sw_interface_dump", { name_filter_valid: false }),
      api.cli("show hardware-interfaces brief"),
    ]);
    return new InterfaceNames(
      all.map((details) => namedInterface(details, pods)),
      parseHardwareIndices(hardware),
    );
  }

  byIndex(swIfIndex: number): NamedInterface | undefined {
    return this.#byIndex.get(swIfIndex);
  }

  byHardwareIndex(hwIfIndex: number): NamedInterface | undefined {
    return this.#byHardware.get(hwIfIndex);
  }

  byVppName(name: string): NamedInterface | undefined {
    return this.#byVppName.get(name);
  }

  /** By its pod, by our name, by VPP's, or by its number. @throws DiagnosisError `NO_SUCH_INTERFACE` */
  find(text: string): NamedInterface {
    const found =
      this.#byName.get(text) ??
      this.#byVppName.get(text) ??
      (/^\d+$/.test(text) ? this.#byIndex.get(Number(text)) : undefined);
    if (found) return found;
    const known = [...this.#byIndex.values()].map((i) => i.pod ?? i.name ?? i.vppName);
    const some = known.length > 10 ? [...known.slice(0, 10), "…"] : known;
    throw new DiagnosisError("NO_SUCH_INTERFACE", `VPP has no interface ${text}; it has ${some.join(", ")}`);
  }
}

export function namedInterface(details: Element<"sw_interface_dump">, pods: PodNames): NamedInterface {
  const { sw_if_index: swIfIndex, interface_name: vppName, tag } = details;
  const name = parseInterfaceTag(tag)?.name;
  if (name === undefined) return { swIfIndex, vppName };
  const pod = pods.get(name);
  return { swIfIndex, vppName, name, ...(pod === undefined ? {} : { pod }) };
}

/** `default/web (host-hd1)` of a pod, `uplink-eth0 (host-eth0)` of others, or only `host-eth0` for what is not ours. */
export function label({ pod, name, vppName }: NamedInterface): string {
  const ours = pod ?? name;
  return ours === undefined || ours === vppName ? vppName : `${ours} (${vppName})`;
}

/**
 * `show hardware-interfaces brief`, where names begin lines:
 *
 *     Name                Idx   Link  Hardware
 *     host-hda              1     up   host-hda
 *       Link speed: unknown
 */
export function parseHardwareIndices(text: string): Map<string, number> {
  const rows = text.matchAll(/^(\S+)\s+(\d+)\s+(?:up|down|reset)\b/gm);
  return new Map([...rows].map(([, name = "", index]) => [name, Number(index)]));
}

import { HeddleError } from "../../../base/errors/errors.ts";
import { faultPoint } from "../../../base/faults/fault-point.ts";
import type { Descriptor } from "../../../kvscheduler/api/descriptor.ts";
import { linkKey, SYSCTL_PREFIX, type SysctlValue, sysctlKey } from "../../../models/linux.ts";

/** The node's sysctls, or a double of them. */
export interface Sysctls {
  /** `undefined` when there is none of that name (the link is gone, the kernel lacks it). */
  read(name: string): Promise<string | undefined>;
  write(name: string, value: string): Promise<void>;
}

/** Where the values that we found are kept, so that they can be restored after a restart too. */
export interface SysctlOriginals {
  get(name: string): string | undefined;
  /** Durable when it resolves; `undefined` forgets. */
  set(name: string, value: string | undefined): Promise<void>;
}

/** A sysctl does not exist, or does not take the value. */
export class SysctlError extends HeddleError<"SYSCTL"> {}

/**
 * Sets sysctls, and puts back what was there when the item goes. That of a link of ours needs no record: it goes with the
 * link, and where the link stays it gets what a new link has.
 */
export function sysctlDescriptor(sysctls: Sysctls, originals: SysctlOriginals): Descriptor<SysctlValue, undefined> {
  const write = async (value: SysctlValue): Promise<undefined> => {
    const before = await sysctls.read(value.name);
    if (before === undefined) throw new SysctlError("SYSCTL", `there is no sysctl ${value.name}`);
    faultPoint("sysctl.read");
    if (value.link === undefined && originals.get(value.name) === undefined) await originals.set(value.name, before);
    if (before !== value.value) await sysctls.write(value.name, value.value);
    faultPoint("sysctl.set");
    return undefined;
  };
  return {
    name: "linux-sysctl",
    keyPrefixes: [SYSCTL_PREFIX],
    equivalent: (_key, a, b) => a.value === b.value,
    dependencies: (_key, value) => [
      ...(value.link === undefined ? [] : [{ label: "link", key: linkKey(value.link), carries: true }]),
      ...(value.requires ?? []).map((key) => ({ label: key, key })),
      ...value.after.map((name) => ({ label: name, key: sysctlKey(name) })),
    ],
    describe: (_key, value) => `${value.name} = ${value.value}`,
    create: (_key, value) => write(value),
    update: (_key, _before, value) => write(value),
    async delete(_key, value) {
      const recorded = value.link === undefined;
      const before = recorded ? originals.get(value.name) : await sysctls.read(ofNewLinks(value.name, value.link));
      if (before === undefined) return;
      // One that is gone (with its link) needs no restoring.
      if ((await sysctls.read(value.name)) !== undefined) await sysctls.write(value.name, before);
      if (recorded) await originals.set(value.name, undefined);
    },
    async retrieve(correlate) {
      const found = await Promise.all(
        Array.from(correlate, async ({ key, value }) => {
          const now = await sysctls.read(value.name);
          // One that we have not set is not there, in the sense of an item: it must be recorded before it is changed.
          if (now === undefined) return undefined;
          if (value.link === undefined && originals.get(value.name) === undefined) return undefined;
          return { key, value: { ...value, value: now }, metadata: undefined };
        }),
      );
      return found.filter((item) => item !== undefined);
    },
  };
}

/** `net/ipv4/conf/default/route_localnet` of `net/ipv4/conf/hd12/route_localnet`. */
const ofNewLinks = (name: string, link: string): string => name.replace(`/${link}/`, "/default/");

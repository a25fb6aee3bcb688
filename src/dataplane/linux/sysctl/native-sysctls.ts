import { native } from "../netlink/native.ts";
import { SysctlError, type Sysctls } from "./descriptor.ts";

/** Sysctls of the namespace that this process runs in. */
export const nativeSysctls: Sysctls = {
  async read(name) {
    const [outcome] = await native().runIn(undefined, [{ sysctl: name }]);
    if (outcome instanceof Error) {
      if (outcome.code === "ENOENT") return undefined;
      throw new SysctlError("SYSCTL", `cannot read sysctl ${name}`, { cause: outcome });
    }
    return outcome?.toString().trim();
  },
  async write(name, value) {
    const [outcome] = await native().runIn(undefined, [{ sysctl: name, value }]);
    if (outcome instanceof Error) {
      throw new SysctlError("SYSCTL", `cannot set sysctl ${name} to ${value}`, { cause: outcome });
    }
  },
};

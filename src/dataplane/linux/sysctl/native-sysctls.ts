import { errnoOf } from "../../../base/errors/errors.ts";
import { readSysctl, writeSysctl } from "../netlink/netns.ts";
import { SysctlError, type Sysctls } from "./descriptor.ts";

/** Sysctls of the namespace that this process runs in. */
export const nativeSysctls: Sysctls = {
  async read(name) {
    try {
      return await readSysctl(undefined, name);
    } catch (e) {
      if (errnoOf(e) === "ENOENT") return undefined;
      throw new SysctlError("SYSCTL", `cannot read sysctl ${name}`, { cause: e });
    }
  },
  async write(name, value) {
    try {
      await writeSysctl(undefined, name, value);
    } catch (e) {
      throw new SysctlError("SYSCTL", `cannot set sysctl ${name} to ${value}`, { cause: e });
    }
  },
};

import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { HeddleError } from "../../base/errors/errors.ts";
import { API_FILES_BELOW_PREFIX } from "./binapi/index.ts";

/** There is no VPP to run. Install one, or name its prefix. */
export class NoVppError extends HeddleError<"NO_VPP"> {}

/** Where a VPP is installed. */
export interface VppInstallation {
  readonly binary: string;
  /** Its `*.api.json` files. */
  readonly apiDirectory: string;
  /** Where its plugins are, if they are where VPP's own packages put them. */
  readonly plugins?: string;
}

/** Where VPP is looked for when nobody says: a prefix of its own, then wherever the PATH leads. */
const DEFAULT_PREFIX = "/opt/vpp";

/**
 * Finds VPP's executable and API files below `prefix`; if absent, below HEDDLE_VPP_PREFIX, else below /opt/vpp or beside the
 * `vpp` on the PATH. @throws NoVppError
 */
export function findVppInstallation(
  prefix: string | undefined,
  env: Readonly<Record<string, string | undefined>> = process.env,
): VppInstallation {
  const given = prefix ?? env["HEDDLE_VPP_PREFIX"];
  const onPath = (env["PATH"] ?? "").split(":").flatMap((dir) => (/\/bin\/?$/.test(dir) ? [join(dir, "..")] : []));
  const prefixes = given === undefined ? [DEFAULT_PREFIX, ...onPath] : [given];
  for (const at of prefixes) {
    const installation = { binary: join(at, "bin/vpp"), apiDirectory: join(at, API_FILES_BELOW_PREFIX) };
    if (!existsSync(installation.binary) || !existsSync(installation.apiDirectory)) continue;
    const plugins = pluginsBelow(at);
    return { ...installation, ...(plugins === undefined ? {} : { plugins }) };
  }
  const where = given === undefined ? `${DEFAULT_PREFIX} and the PATH` : given;
  throw new NoVppError("NO_VPP", `no VPP was found in ${where}: install FD.io VPP, or say where it is (vpp.prefix)`);
}

/** `lib/vpp_plugins`, or `lib/<triplet>/vpp_plugins`. */
function pluginsBelow(prefix: string): string | undefined {
  for (const lib of [join(prefix, "lib"), join(prefix, "lib64")]) {
    if (!existsSync(lib)) continue;
    const found = ["", ...readdirSync(lib)]
      .map((name) => join(lib, name, "vpp_plugins"))
      .find((path) => existsSync(path));
    if (found !== undefined) return found;
  }
  return undefined;
}

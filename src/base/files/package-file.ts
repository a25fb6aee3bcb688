import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/**
 * Path of a file of this package, given from its root; undefined if it is not there. Found upwards from here: sources lie
 * deeper below the root than bundles in dist/.
 */
export function packageFile(relative: string): string | undefined {
  for (let dir = dirname(fileURLToPath(import.meta.url)); ; dir = dirname(dir)) {
    const path = join(dir, relative);
    if (existsSync(path)) return path;
    if (dirname(dir) === dir) return undefined;
  }
}

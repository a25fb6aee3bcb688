import { existsSync } from "node:fs";
import { join } from "node:path";
import { API_FILES_BELOW_PREFIX, loadSchema } from "../../../src/dataplane/vpp/binapi/schema/load.ts";
import type { ApiSchema } from "../../../src/dataplane/vpp/binapi/schema/model.ts";

/** Where an installed VPP is looked for. */
export const VPP_PREFIX = process.env["HEDDLE_VPP_PREFIX"] ?? "/opt/vpp";

/** VPP's API files: those that HEDDLE_VPP_API_DIR names, else those of the installed VPP. Undefined if there are none. */
export const VPP_API_DIRECTORY: string | undefined = [
  process.env["HEDDLE_VPP_API_DIR"],
  join(VPP_PREFIX, API_FILES_BELOW_PREFIX),
].find((directory) => directory !== undefined && existsSync(directory));

/** Why a suite that needs the files can't run; for its name, so that the report says it. */
export const NO_API_FILES =
  "no VPP API files: install VPP below HEDDLE_VPP_PREFIX, or name a directory of *.api.json in HEDDLE_VPP_API_DIR";

/** ` (skipped: …)` where the files are missing, for the title of a suite. */
export const skipNote: string = VPP_API_DIRECTORY === undefined ? ` (${NO_API_FILES})` : "";

let loaded: Promise<ApiSchema> | undefined;

/** The schema of {@link VPP_API_DIRECTORY}, read once. */
export function testSchema(): Promise<ApiSchema> {
  if (VPP_API_DIRECTORY === undefined) throw new Error(NO_API_FILES);
  return (loaded ??= loadSchema(VPP_API_DIRECTORY));
}

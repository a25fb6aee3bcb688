import { describe } from "vitest";
import { whyNoNetns } from "../lab/toy.ts";
import { noVppLab, vppLabNote } from "../vpp/vpp-lab.ts";

export const DATAPLANES = ["linux", "vpp"] as const;
export type DataplaneName = (typeof DATAPLANES)[number];

/** A suite about pods that holds whatever forwards for them: once for each dataplane, or with the reason why it does not run. */
export function onEachDataplane(title: string, suite: (dataplane: DataplaneName) => void): void {
  const why = whyNoNetns();
  describe.skipIf(why !== undefined)(`${title}, linux${why ? ` (skipped: ${why})` : ""}`, () => {
    suite("linux");
  });
  describe.skipIf(noVppLab)(`${title}, vpp${vppLabNote}`, () => {
    suite("vpp");
  });
}

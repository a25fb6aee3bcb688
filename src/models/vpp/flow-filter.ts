import type { Key } from "../../kvscheduler/api/descriptor.ts";

/** What the interface receives of flows that were stopped is dropped. Which flows these are is no part of the model. */
export interface FlowFilterValue {
  readonly interface: string;
  /** Rules of SCTP are asked, too, both ways. */
  readonly isPod?: true;
}

export const FLOW_FILTER_PREFIX = "vpp/flow-filter/";

export const flowFilterKey = (name: string): Key => `${FLOW_FILTER_PREFIX}${name}`;

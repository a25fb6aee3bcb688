import type { ValueState } from "../../api/status.ts";
import type { EdgeStyle } from "./picture.ts";

interface StateColour {
  readonly fill: string;
  readonly stroke: string;
}

/** Told apart also by those who do not see red or green: light differs as much as hue, and the state stands beside it. */
export const STATE_COLOURS: Readonly<Record<ValueState, StateColour>> = {
  CONFIGURED: { fill: "#d5efe0", stroke: "#2e7d5b" },
  OBTAINED: { fill: "#d3e5f7", stroke: "#2b6cb0" },
  DISCOVERED: { fill: "#bfe9f2", stroke: "#0e7490" },
  PENDING: { fill: "#fdf0b8", stroke: "#a47c00" },
  RETRYING: { fill: "#ffd59e", stroke: "#c05600" },
  FAILED: { fill: "#f7a8a0", stroke: "#a61b1b" },
  INVALID: { fill: "#e3bdf0", stroke: "#7b2d98" },
  MISSING: { fill: "#f3d3dd", stroke: "#a23b62" },
  UNIMPLEMENTED: { fill: "#dcdcdc", stroke: "#5c5c5c" },
  REMOVED: { fill: "#ffffff", stroke: "#8a8a8a" },
  NONEXISTENT: { fill: "#ffffff", stroke: "#8a8a8a" },
};

export interface LineLook {
  readonly colour: string;
  readonly width: number;
  /** Lengths of dashes and gaps. */
  readonly dash?: string;
  readonly means: string;
}

export const LINE_LOOKS: Readonly<Record<EdgeStyle, LineLook>> = {
  derived: { colour: "#7a869a", width: 1, dash: "1.5 3", means: "derived from" },
  key: { colour: "#33507a", width: 1.2, means: "needs" },
  "any-of": { colour: "#0d8577", width: 1.2, dash: "7 3", means: "needs any of" },
  "unmet-derived": { colour: "#d0342c", width: 1, dash: "1.5 3", means: "derived from, which is not in place" },
  "unmet-key": { colour: "#d0342c", width: 1.6, means: "needs, and is not there" },
  "unmet-any-of": { colour: "#d0342c", width: 1.6, dash: "7 3", means: "needs any of, and none is there" },
};

/** Frame of what the highlighted transaction touched. */
export const HIGHLIGHT = "#e07b00";

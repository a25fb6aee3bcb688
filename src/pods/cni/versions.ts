/** The CNI spec versions Heddle speaks, oldest first. The executable answers VERSION with the same list (main.cpp). */
export const CNI_VERSIONS = ["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"] as const;
export type CniVersion = (typeof CNI_VERSIONS)[number];

/** The version we answer in when the request's own is not known. */
export const NEWEST_CNI_VERSION: CniVersion = "1.1.0";

/** A configuration without `cniVersion` dates from before the key existed (libcni: ConfigDecoder). */
export const IMPLIED_CNI_VERSION = "0.1.0";

export function isCniVersion(version: unknown): version is CniVersion {
  return CNI_VERSIONS.some((known) => known === version);
}

/** Negative when `a` is older than `b`. The list above is in order, so a position is all that is compared. */
export function compareCniVersions(a: CniVersion, b: CniVersion): number {
  return CNI_VERSIONS.indexOf(a) - CNI_VERSIONS.indexOf(b);
}

/** The first version in which the spec has the thing; what it was called is in the comment. */
const SINCE = {
  /** CHECK, and `prevResult` on DEL (spec-v0.4.0). */
  check: "0.4.0",
  /** `ips[].version` ("4" or "6") was removed (spec-v1.0.0). */
  noIpVersion: "1.0.0",
  /** STATUS and GC (spec-v1.1.0). */
  status: "1.1.0",
  gc: "1.1.0",
  /** `interfaces[].mtu`, `socketPath` and `pciID`; `routes[].mtu`, `advmss`, `priority`, `table`, `scope` (spec-v1.1.0). */
  richResult: "1.1.0",
} as const satisfies Record<string, CniVersion>;

export type CniFeature = keyof typeof SINCE;

/** Whether a configuration of this version may use the feature. */
export function cniVersionHas(version: CniVersion, feature: CniFeature): boolean {
  return compareCniVersions(version, SINCE[feature]) >= 0;
}

/** The version that introduced a feature, for error messages. */
export function cniFeatureSince(feature: CniFeature): CniVersion {
  return SINCE[feature];
}

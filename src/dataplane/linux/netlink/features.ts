import { describeNetns, socketError } from "./client.ts";
import { type LinkFeature, type NativeStep, type NetnsTarget, native } from "./native.ts";

/** Which of these features a link has on. Rejects with a NetlinkSocketError: `ENODEV` where there is no such link. */
export async function readFeatures(
  netns: NetnsTarget,
  link: string,
  features: readonly LinkFeature[],
): Promise<readonly LinkFeature[]> {
  const words = `read the features of ${link}${describeNetns(netns)}`;
  const results = await run(
    netns,
    words,
    features.map((feature) => ({ link, feature })),
  );
  return features.filter((_, i) => results[i]?.[0] === 1);
}

/**
 * Switches features of a link, in the order given; `tso: false, gso: false` is what `ethtool -K LINK tso off gso off`
 * does. Rejects with a NetlinkSocketError: `ENODEV` where there is no such link, `EOPNOTSUPP` where a feature is fixed.
 */
export async function setFeatures(
  netns: NetnsTarget,
  link: string,
  features: readonly (readonly [feature: LinkFeature, on: boolean])[],
): Promise<void> {
  const settings = features.map(([feature, on]) => `${feature} ${on ? "on" : "off"}`).join(" ");
  const words = `switch ${link}'s features to ${settings}${describeNetns(netns)}`;
  await run(
    netns,
    words,
    features.map(([feature, on]) => ({ link, feature, on })),
  );
}

async function run(netns: NetnsTarget, words: string, steps: readonly NativeStep[]): Promise<readonly Buffer[]> {
  let results: Awaited<ReturnType<ReturnType<typeof native>["runIn"]>>;
  try {
    results = await native().runIn(netns, steps);
  } catch (e) {
    throw socketError(words, e);
  }
  return results.map((result) => {
    if (result instanceof Error) throw socketError(words, result);
    return result;
  });
}

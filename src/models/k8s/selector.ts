import { z } from "zod";
import { labelMap, openObject } from "./codec.ts";

/**
 * A label selector as somebody wrote it; the API's `metav1.LabelSelector`. Not checked: operators may be unknown, value
 * lists may be missing. Without any requirement it selects everything.
 */
export interface LabelSelector {
  readonly matchLabels?: Labels | undefined;
  readonly matchExpressions?: readonly LabelRequirement[] | undefined;
  /** Names of members that this Heddle doesn't know, or whose type is wrong. */
  readonly unknown?: readonly string[] | undefined;
}

export interface LabelRequirement {
  readonly key: string;
  /** In, NotIn, Exists or DoesNotExist, if it is valid. */
  readonly operator: string;
  readonly values?: readonly string[] | undefined;
  readonly unknown?: readonly string[] | undefined;
}

export type Labels = Readonly<Record<string, string>>;

export const labelSelector: z.ZodType<LabelSelector> = openObject({
  matchLabels: labelMap.optional(),
  matchExpressions: z
    .array(openObject({ key: z.string(), operator: z.string(), values: z.array(z.string()).optional() }))
    .optional(),
});

import type { LabelSelector } from "../../../src/models/k8s/selector.ts";

const NAME = /^(?=.{1,63}$)[a-z0-9]([a-z0-9._-]*[a-z0-9])?$/i;

const keyIsValid = (key: string): boolean => {
  const parts = key.split("/");
  if (parts.length === 1) return NAME.test(key);
  return (
    parts.length === 2 &&
    /^(?=.{1,253}$)[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/.test(parts[0] ?? "") &&
    NAME.test(parts[1] ?? "")
  );
};
const valueIsValid = (value: string): boolean => value === "" || NAME.test(value);

/** Whether the API server would accept it. */
export function selectorIsValid(s: LabelSelector): boolean {
  if ((s.unknown ?? []).length > 0) return false;
  const labels = Object.entries(s.matchLabels ?? {}).every(([k, v]) => keyIsValid(k) && valueIsValid(v));
  const expressions = (s.matchExpressions ?? []).every((e) => {
    const values = e.values ?? [];
    if ((e.unknown ?? []).length > 0 || !keyIsValid(e.key) || !values.every(valueIsValid)) return false;
    if (e.operator === "In" || e.operator === "NotIn") return values.length > 0;
    return (e.operator === "Exists" || e.operator === "DoesNotExist") && values.length === 0;
  });
  return labels && expressions;
}

/**
 * "A label selector is a label query over a set of resources. The result of matchLabels and matchExpressions are ANDed. An
 * empty label selector matches all objects." (metav1.LabelSelector)
 */
export function selectorMatches(s: LabelSelector, labels: Readonly<Record<string, string>>): boolean {
  for (const [k, v] of Object.entries(s.matchLabels ?? {})) if (labels[k] !== v) return false;
  for (const { key, operator, values = [] } of s.matchExpressions ?? []) {
    const has = key in labels;
    const listed = has && values.includes(labels[key] ?? "");
    const holds = { In: listed, NotIn: !listed, Exists: has, DoesNotExist: !has }[operator];
    if (holds !== true) return false;
  }
  return true;
}

import { z } from "zod";

// The form of the catalogue's files; test/policies/README.md describes it for those who write them.

/** What every policy must have, whatever else is wrong with it: without it nothing could be put anywhere. */
const manifest = z.looseObject({
  apiVersion: z.string(),
  kind: z.string(),
  metadata: z.looseObject({ name: z.string(), namespace: z.string().optional() }),
});

/** Labels that change: null takes one away. */
const label = z.record(z.string(), z.record(z.string(), z.string().nullable()));

const stepSchema = z.strictObject({
  what: z.string(),
  label: label.optional(),
  put: z.array(manifest).optional(),
  /** `NetworkPolicy x/p`, `ClusterNetworkPolicy p` */
  delete: z.array(z.string().regex(/^[A-Za-z]+ ([\w.-]+\/)?[\w.-]+$/, "must be KIND [NAMESPACE/]NAME")).optional(),
  expect: z.string(),
});

const caseSchema = z.strictObject({
  name: z.string().min(1),
  because: z.string().optional(),
  label: label.optional(),
  objects: z.array(manifest).optional(),
  policies: z.array(manifest),
  expect: z.string(),
  later: z.array(stepSchema).optional(),
});

export const fileSchema = z.strictObject({ theme: z.string(), cases: z.array(z.unknown()).min(1) });
export const namedSchema = z.looseObject({ name: z.string() });
export { caseSchema };
export type RawCase = z.infer<typeof caseSchema>;
export type RawStep = z.infer<typeof stepSchema>;

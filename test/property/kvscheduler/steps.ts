import fc from "fast-check";
import type { Dependency, Key, KeyValue } from "../../../src/kvscheduler/api/descriptor.ts";
import type { Fault, MockValue } from "../../support/kvscheduler/mock-value.ts";
import { type Change, parseNeed } from "../../support/kvscheduler/scenario-values.ts";

export const SOURCES = ["default", "high"] as const;
export type SourceName = (typeof SOURCES)[number];

export interface PlannedFault {
  readonly key: Key;
  readonly fault: Fault;
  readonly times: number;
}

export interface TxnStep {
  readonly kind: "txn";
  readonly source: SourceName;
  readonly changes: readonly Change[];
  readonly resync: "full" | "upstream" | undefined;
  readonly atomic: boolean;
  /** A dry run of the same goes before it. */
  readonly tried: boolean;
  readonly faults: readonly PlannedFault[];
  /** What makes up for the failures of a best-effort transaction. */
  readonly cure: "resync" | "retry";
}

export interface NotifyStep {
  readonly kind: "notify";
  readonly changes: readonly Change[];
}

/** Somebody else changes our part of the southbound; a resync repairs it. */
export interface MeddleStep {
  readonly kind: "meddle";
  readonly vanish: readonly Key[];
  readonly tamper: readonly (readonly [Key, string])[];
  readonly appear: readonly Key[];
}

/** The process dies in the middle of a transaction; the next one resyncs. */
export interface CrashStep {
  readonly kind: "crash";
  readonly source: SourceName;
  readonly changes: readonly Change[];
  /** Operations that still take effect. */
  readonly after: number;
}

/** The descriptor of `u/` comes at last. */
export interface RegisterStep {
  readonly kind: "register";
}

export type Step = TxnStep | NotifyStep | MeddleStep | CrashStep | RegisterStep;

const BASES = ["a/1", "a/2", "a/3", "b/1", "b/2", "g1/1", "g1/2", "g2/1", "n/1", "u/1"] as const;
/** What the southbound tells of. Nothing derived from these is under `n/`: it could be seen in its base only. */
export const OBSERVED = ["a/1", "a/2", "a/a1", "b/2", "a/9"] as const;
/** Each base derives under keys of its own; one of them is also configured directly now and then. */
function derivedKeys(base: Key): Key[] {
  const kinds = OBSERVED.some((key) => key === base) ? ["a", "b", "g2", "p", "u"] : ["a", "b", "g2", "n", "p", "u"];
  return kinds.map((kind) => `${kind}/${base.replace("/", "")}`);
}
const ALL: readonly Key[] = [...BASES, ...BASES.flatMap(derivedKeys)];
const ANY_OF = ["or:a/", "or:b/", "or:g", "or:n/1|b/", "or:p/", "or:a/a1|u/", "or:a/*2", "or:b/|a/*1"];

const need: fc.Arbitrary<Dependency> = fc
  .oneof(
    { weight: 4, arbitrary: fc.constantFrom(...ALL) },
    { weight: 2, arbitrary: fc.constantFrom(...BASES) },
    { weight: 2, arbitrary: fc.constantFrom(...BASES).map((key) => `~${key}`) },
    { weight: 2, arbitrary: fc.constantFrom(...ANY_OF) },
  )
  .map(parseNeed);

const needs = fc.oneof(
  { weight: 2, arbitrary: fc.constant(undefined) },
  { weight: 3, arbitrary: need.map((d) => [d]) },
  { weight: 1, arbitrary: fc.uniqueArray(need, { minLength: 2, maxLength: 3, selector: (d) => d.label }) },
);

const v = fc.constantFrom("w", "x", "y", "z");
const plain = fc.record({ v, deps: needs, recreate: fc.boolean() }).map(tidy);

function derived(base: Key): fc.Arbitrary<readonly KeyValue<MockValue>[] | undefined> {
  const one = fc.constantFrom(...derivedKeys(base)).chain((key) =>
    fc.tuple(plain, fc.boolean(), plain).map(([value, deeper, below]) => {
      // A derived value of a derived value, under a key that is the first one's own.
      const deep = deeper && !key.startsWith("p/") ? { ...value, derived: [{ key: `${key}x`, value: below }] } : value;
      return { key, value: deep };
    }),
  );
  return fc.option(fc.uniqueArray(one, { maxLength: 2, selector: (d) => d.key }), { nil: undefined });
}

function value(key: Key): fc.Arbitrary<MockValue> {
  return fc.tuple(plain, derived(key)).map(([x, d]) => tidy({ ...x, derived: d }));
}

function tidy(x: { [K in keyof MockValue]: MockValue[K] | undefined }): MockValue {
  return Object.fromEntries(
    Object.entries(x).filter(([, field]) => field !== undefined && field !== false),
  ) as unknown as MockValue;
}

/** Observed values are there without what they need; only their takeover by us would notice. */
function unconditional(x: MockValue): MockValue {
  const { deps: _, ...rest } = x;
  return rest;
}

const change: fc.Arbitrary<Change> = fc
  .oneof(
    { weight: 8, arbitrary: fc.constantFrom(...BASES) },
    { weight: 1, arbitrary: fc.constantFrom("a/a1", "b/b1", "n/g11") },
  )
  .chain((key) => fc.tuple(fc.constant<Key>(key), fc.option(value(key), { nil: undefined, freq: 4 })));

const changes = fc.uniqueArray(change, { maxLength: 6, selector: ([key]) => key });

const fault: fc.Arbitrary<PlannedFault> = fc.record({
  key: fc.constantFrom(...ALL),
  fault: fc.constantFrom<Fault>("before", "before", "after", "after", "refuse", "hang", "lost", "lie"),
  times: fc.constantFrom(1, 1, 2, 99),
});

const faults = fc.oneof(
  { weight: 2, arbitrary: fc.constant([]) },
  { weight: 1, arbitrary: fc.uniqueArray(fault, { maxLength: 5, selector: (f) => f.key }) },
);

const source = fc.constantFrom<SourceName>("default", "default", "default", "high");

const txn: fc.Arbitrary<TxnStep> = fc.record({
  kind: fc.constant("txn" as const),
  source,
  changes,
  resync: fc.constantFrom(undefined, undefined, undefined, undefined, "full" as const, "upstream" as const),
  atomic: fc.boolean(),
  tried: fc.boolean(),
  faults,
  cure: fc.constantFrom("resync" as const, "retry" as const),
});

const notify: fc.Arbitrary<NotifyStep> = fc.record({
  kind: fc.constant("notify" as const),
  changes: fc.uniqueArray(
    fc
      .constantFrom<Key>(...OBSERVED)
      .chain((key) =>
        fc.tuple(
          fc.constant(key),
          fc.option(fc.oneof(plain, key === "a/1" ? value(key) : plain).map(unconditional), { nil: undefined }),
        ),
      ),
    { maxLength: 3, selector: ([key]) => key },
  ),
});

const meddle: fc.Arbitrary<MeddleStep> = fc.record({
  kind: fc.constant("meddle" as const),
  vanish: fc.uniqueArray(fc.constantFrom(...ALL), { maxLength: 6 }),
  tamper: fc.uniqueArray(fc.tuple(fc.constantFrom(...ALL), fc.constantFrom("t1", "t2")), {
    maxLength: 4,
    selector: ([key]) => key,
  }),
  appear: fc.uniqueArray(fc.constantFrom<Key>("a/stray", "b/stray", "a/1", "b/a2", "g1/2"), { maxLength: 3 }),
});

const crash: fc.Arbitrary<CrashStep> = fc.record({
  kind: fc.constant("crash" as const),
  source,
  changes,
  after: fc.nat({ max: 8 }),
});

/** One random step; most are transactions. */
export const steps: fc.Arbitrary<Step> = fc.oneof(
  { weight: 16, arbitrary: txn },
  { weight: 4, arbitrary: notify },
  { weight: 4, arbitrary: meddle },
  { weight: 2, arbitrary: crash },
  { weight: 1, arbitrary: fc.constant<RegisterStep>({ kind: "register" }) },
);

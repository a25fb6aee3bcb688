import fc from "fast-check";
import type { Dependency, Key, KeyValue } from "../../../src/kvscheduler/api/descriptor.ts";
import type { Fault, MockValue } from "../../support/kvscheduler/mock-southbound.ts";

export type Step =
  | {
      readonly kind: "txn";
      readonly source: 0 | 1;
      readonly changes: readonly (readonly [Key, MockValue | undefined])[];
      readonly resync: "full" | "upstream" | undefined;
      readonly atomic: boolean;
      readonly faults: readonly (readonly [Key, Fault])[];
    }
  | { readonly kind: "notify"; readonly changes: readonly (readonly [Key, MockValue | undefined])[] }
  | {
      readonly kind: "meddle";
      readonly vanish: readonly Key[];
      readonly change: readonly (readonly [Key, number])[];
      readonly appear: readonly Key[];
    };

const BASES = ["a/1", "a/2", "a/3", "b/1", "b/2", "g1/1", "g1/2", "g2/1", "n/1"] as const;
/** Each base derives under keys of its own; one of them is also configured directly now and then. */
const derivedKeys = (base: Key): Key[] => ["a", "b", "g2", "n", "p"].map((kind) => `${kind}/${base.replace("/", "")}`);
const ALL: readonly Key[] = [...BASES, ...BASES.flatMap(derivedKeys)];
const PREFIXES = ["a/", "b/", "g", "n/1", "p/", "a/a"];

const dependency = (index: number): fc.Arbitrary<Dependency> =>
  fc.oneof(
    { weight: 4, arbitrary: fc.constantFrom(...ALL).map((key) => ({ label: `d${index}`, key })) },
    { weight: 2, arbitrary: fc.constantFrom(...BASES).map((key) => ({ label: `d${index}`, key })) },
    { weight: 2, arbitrary: fc.constantFrom(...BASES).map((key) => ({ label: `d${index}`, key, carries: true })) },
    {
      weight: 2,
      arbitrary: fc
        .uniqueArray(fc.constantFrom(...PREFIXES), { minLength: 1, maxLength: 2 })
        .map((prefixes) => ({ label: `d${index}`, anyOf: { prefixes } })),
    },
  );

const deps = fc.oneof(
  { weight: 2, arbitrary: fc.constant(undefined) },
  { weight: 3, arbitrary: dependency(0).map((d) => [d]) },
  { weight: 1, arbitrary: fc.tuple(dependency(0), dependency(1)) },
);

const plain = fc.record({ v: fc.integer({ min: 0, max: 3 }), deps, recreate: fc.boolean() }).map(tidy);

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
  return fc.tuple(plain, derived(key)).map(([v, d]) => tidy({ ...v, derived: d }));
}

function tidy(v: { [K in keyof MockValue]: MockValue[K] | undefined }): MockValue {
  return Object.fromEntries(
    Object.entries(v).filter(([, x]) => x !== undefined && x !== false),
  ) as unknown as MockValue;
}

/** Observed values are there without what they need; only their takeover by us would notice. */
function unconditional(v: MockValue): MockValue {
  const { deps: _, ...rest } = v;
  return rest;
}

const change = fc
  .oneof(
    { weight: 8, arbitrary: fc.constantFrom(...BASES) },
    { weight: 1, arbitrary: fc.constantFrom("a/a1", "b/b1", "n/g11") },
  )
  .chain((key) => fc.tuple(fc.constant<Key>(key), fc.option(value(key), { nil: undefined, freq: 4 })));

const changes = fc.uniqueArray(change, { maxLength: 6, selector: ([key]) => key });

const faults = fc.oneof(
  { weight: 2, arbitrary: fc.constant([]) },
  {
    weight: 1,
    arbitrary: fc.uniqueArray(fc.tuple(fc.constantFrom(...ALL), fc.constantFrom<Fault>("before", "after")), {
      maxLength: 5,
      selector: ([key]) => key,
    }),
  },
);

export const steps: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant("txn" as const),
      source: fc.constantFrom<0 | 1>(0, 0, 0, 1),
      changes,
      resync: fc.constantFrom(undefined, undefined, undefined, undefined, "full" as const, "upstream" as const),
      atomic: fc.boolean(),
      faults,
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("notify" as const),
      changes: fc.uniqueArray(
        fc
          .constantFrom<Key>("a/1", "a/2", "a/a1", "b/2", "a/9")
          .chain((key) =>
            fc.tuple(
              fc.constant(key),
              fc.option(fc.oneof(plain, key === "a/1" ? value(key) : plain).map(unconditional), { nil: undefined }),
            ),
          ),
        { maxLength: 3, selector: ([key]) => key },
      ),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("meddle" as const),
      vanish: fc.uniqueArray(fc.constantFrom(...ALL), { maxLength: 6 }),
      change: fc.uniqueArray(fc.tuple(fc.constantFrom(...ALL), fc.integer({ min: 10, max: 12 })), {
        maxLength: 4,
        selector: ([key]) => key,
      }),
      appear: fc.uniqueArray(fc.constantFrom<Key>("a/stray", "b/stray", "a/1", "b/a2", "g1/2"), { maxLength: 3 }),
    }),
  },
);

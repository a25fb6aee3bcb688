import { strict as assert } from "node:assert";
import {
  elementKey,
  type PodPolicyRow,
  type PolicyChanges,
  type PolicyProblems,
  type PolicyRows,
  type RuleTable,
  refText,
  type SetElement,
  type SetKind,
} from "../../../src/policy/api.ts";

interface ReplicaSet {
  readonly kind: SetKind;
  readonly elements: Map<string, SetElement>;
}

/** What somebody who only sees changes knows: as strict as a kernel about changes that do not fit. */
export class PolicyReplica {
  readonly pods = new Map<string, PodPolicyRow>();
  readonly tables = new Map<string, RuleTable>();
  /** By ID and family. */
  readonly sets = new Map<string, ReplicaSet>();
  readonly problems = new Map<string, PolicyProblems>();

  apply(changes: PolicyChanges): void {
    for (const c of changes.sets.filter((s) => s.what !== "deleted")) {
      const key = `${c.id}/${c.family}`;
      if (c.what === "created") {
        assert.ok(!this.sets.has(key), `set ${key} is created twice`);
        this.sets.set(key, { kind: c.kind, elements: new Map() });
      }
      const set = this.sets.get(key);
      assert.ok(set, `set ${key} is changed but was never created`);
      for (const e of c.removed) assert.ok(set.elements.delete(elementKey(e)), `${key} lacks ${elementKey(e)}`);
      for (const e of c.added) {
        assert.ok(!set.elements.has(elementKey(e)), `${key} already has ${elementKey(e)}`);
        set.elements.set(elementKey(e), e);
      }
    }
    for (const { old, new: now } of changes.tables) {
      if (old) assert.ok(this.tables.delete(old.id), `table ${old.id} goes but never came`);
      if (now) {
        assert.ok(!this.tables.has(now.id), `table ${now.id} comes twice`);
        this.tables.set(now.id, now);
      }
    }
    for (const { old, new: now } of changes.pods) {
      const id = (old ?? now)?.id ?? "";
      assert.deepEqual(this.pods.get(id), old, `row ${id} was not what the change says`);
      if (now) this.pods.set(id, now);
      else this.pods.delete(id);
    }
    for (const c of changes.sets.filter((s) => s.what === "deleted")) {
      const key = `${c.id}/${c.family}`;
      const set = this.sets.get(key);
      assert.ok(set, `set ${c.id} goes but never came`);
      assert.deepEqual(c.removed.map(elementKey), [...set.elements.keys()].sort(), `all of ${key} goes`);
      this.sets.delete(key);
    }
    for (const { old, new: now } of changes.problems) {
      const key = refText((now ?? old)?.policy ?? { kind: "NetworkPolicy", namespace: "", name: "" });
      assert.deepEqual(this.problems.get(key), old);
      if (now) this.problems.set(key, now);
      else this.problems.delete(key);
    }
  }

  /** In the form of the engine's own. */
  rows(): PolicyRows {
    const byKey = <T>(map: ReadonlyMap<string, T>): [string, T][] => [...map].sort(([a], [b]) => (a < b ? -1 : 1));
    return {
      pods: byKey(this.pods).map(([, r]) => r),
      tables: byKey(this.tables).map(([, t]) => t),
      sets: byKey(this.sets).map(([key, { kind, elements }]) => ({
        id: key.slice(0, -2) as never,
        kind,
        family: key.endsWith("6") ? 6 : 4,
        elements: byKey(elements).map(([, e]) => e),
      })),
      problems: [...this.problems.values()],
    };
  }
}

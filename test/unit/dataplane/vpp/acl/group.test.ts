import { describe, expect, it } from "vitest";
import { AclGroup } from "../../../../../src/dataplane/vpp/acl/group.ts";
import { Numbers } from "../../../../../src/dataplane/vpp/acl/numbers.ts";
import { Tendency, tendency } from "../../../../../src/dataplane/vpp/acl/tendency.ts";
import type { VppTarget } from "../../../../../src/dataplane/vpp/target.ts";
import type { GroupOp, OpContext } from "../../../../../src/kvscheduler/api/descriptor.ts";
import type { AclRule } from "../../../../../src/models/vpp/acl.ts";

const from = (src: string, action: AclRule["action"] = "permit+reflect"): AclRule => ({
  action,
  src,
  dst: "0.0.0.0/0",
});
const [A, B] = [from("10.0.0.1/32"), from("10.0.0.2/32")];
const DENY = from("0.0.0.0/0", "deny");

describe("what becomes of what lists let through", () => {
  it.each<[string, AclRule[], AclRule[], Tendency]>([
    ["nothing", [A, DENY], [A, DENY], Tendency.TIGHTER],
    ["one less is permitted", [A, B, DENY], [B, DENY], Tendency.TIGHTER],
    ["one more is denied", [A], [from("10.0.0.9/32", "deny"), A], Tendency.TIGHTER],
    ["one more is permitted", [A, DENY], [A, B, DENY], Tendency.LOOSER],
    ["one less is denied", [from("10.0.0.9/32", "deny"), A], [A], Tendency.LOOSER],
    ["another one is permitted", [A, DENY], [B, DENY], Tendency.MIXED],
    ["the same in another order", [A, DENY], [DENY, A], Tendency.MIXED],
  ])("%s", (_what, before, after, expected) => {
    expect(tendency([before, after])).toBe(expected);
  });

  describe("in long lists", () => {
    const rules = (places: readonly number[]) =>
      places.map((i) => from(`10.${i >> 16}.${(i >> 8) & 255}.${i & 255}/32`));
    const all = Array.from({ length: 5000 }, (_, i) => i);
    const without = (...gone: readonly [first: number, end: number][]): AclRule[] =>
      rules(all.filter((i) => !gone.some(([first, end]) => first <= i && i < end)));

    it.each<[string, AclRule[]]>([
      ["some far from each other", without([7, 8], [2500, 2520], [4999, 5000])],
      ["every other", rules(all.filter((i) => i % 2 === 0))],
      ["more than are looked at side by side", without([40, 3000], [4000, 4900])],
      ["all", []],
    ])("%s", (_what, less) => {
      const more = rules(all);
      expect(tendency([more, less])).toBe(Tendency.TIGHTER);
      expect(tendency([less, more])).toBe(Tendency.LOOSER);
      expect(tendency([more, [DENY, ...less]])).toBe(Tendency.TIGHTER);
      expect(tendency([more, [...less, A, DENY, A]])).toBe(Tendency.MIXED);
    });

    it("one that moves makes them mixed, near or far", () => {
      for (const [from_, to] of [
        [10, 12],
        [10, 4000],
        [4000, 10],
      ] as const) {
        const moved = all.filter((i) => i !== from_).toSpliced(to, 0, from_);
        expect(tendency([rules(all), rules(moved)])).toBe(Tendency.MIXED);
      }
    });
  });

  it("is that of both directions", () => {
    expect(tendency([[A, DENY], [DENY]], [[DENY], [A, DENY]])).toBe(Tendency.MIXED);
    expect(tendency([[A, DENY], [DENY]], [[DENY], [DENY]])).toBe(Tendency.TIGHTER);
    expect(tendency([[DENY], [DENY]], [[DENY], [A, DENY]])).toBe(Tendency.LOOSER);
  });
});

/** A VPP that notes what it is sent, and refuses lists of some tags. */
function setUp(refused: readonly string[] = []) {
  const sent: string[] = [];
  let lists = 10;
  const request = async (name: string, input: { tag?: string; acl_index?: number; sw_if_index?: number }) => {
    sent.push(`${name} ${input.tag ?? input.sw_if_index ?? input.acl_index}`);
    if (refused.some((tag) => input.tag?.endsWith(tag))) throw new Error("VPP has no memory");
    return { acl_index: input.acl_index === 0xffff_ffff ? lists++ : input.acl_index };
  };
  const cli = async (line: string) => sent.push(line.replace("set acl-plugin ", ""));
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- what the group asks of it
  const vpp = { api: { request, cli }, indexOf: () => 7, nameOf: () => "hda" } as unknown as VppTarget;
  const numbers = new Numbers();
  const group = new AclGroup(vpp, numbers);
  const commit = (...ops: GroupOp[]) => group.commit(ops, { signal: new AbortController().signal } as OpContext);
  return { sent, commit, group, numbers };
}

const list = (
  kind: GroupOp["kind"],
  name: string,
  rules: readonly AclRule[],
  before?: readonly AclRule[],
): GroupOp => ({
  kind,
  key: name,
  descriptor: "vpp-acl",
  value: { name, rules },
  ...(before ? { oldValue: { name, rules: before } } : {}),
  ...(kind === "create" ? {} : { metadata: 3 }),
});
const binding = (kind: GroupOp["kind"], input: readonly string[], before?: readonly string[]): GroupOp => ({
  kind,
  key: "hda",
  descriptor: "vpp-acl-interface",
  value: { interface: "hda", input, output: [] },
  ...(before ? { oldValue: { interface: "hda", input: before, output: [] } } : {}),
});

describe("lists that change together", () => {
  it("are sent those first that let through less, and those last that let through more", async () => {
    const { sent, commit } = setUp();
    const results = await commit(
      list("update", "looser", [A, B], [A]),
      list("update", "mixed", [A], [B]),
      list("create", "new", [A]),
      list("update", "tighter", [A], [A, B]),
    );
    expect(sent).toEqual(["new", "tighter", "mixed", "looser"].map((name) => `acl_add_replace heddle:${name}`));
    expect(results).toEqual([3, 3, 10, 3].map((metadata) => ({ ok: true, metadata })));
  });

  it("count as what an interface gets in place of what it had; its connections are kept meanwhile", async () => {
    const { sent, commit } = setUp();
    await commit(list("create", "open", [A, B]), list("create", "shut", [DENY]));
    sent.length = 0;
    await commit(list("update", "other", [A], [B]), binding("update", ["shut"], ["open"]));
    const keep = ["reclassify-sessions 1", "reclassify-sessions 0"];
    const other = "acl_add_replace heddle:other";
    expect(sent.splice(0)).toEqual([keep[0], "acl_interface_set_acl_list 7", other, keep[1]]);
    await commit(list("update", "other", [A], [B]), binding("update", ["open"], ["shut"]));
    expect(sent).toEqual([keep[0], other, "acl_interface_set_acl_list 7", keep[1]]);
  });

  it("go after the interfaces that had them, and come before those that get them", async () => {
    const { sent, commit } = setUp();
    await commit(list("create", "a", [A]), binding("create", ["a"]));
    await commit(binding("delete", ["a"]), list("delete", "a", [A]));
    expect(sent).toEqual([
      "acl_add_replace heddle:a",
      "acl_interface_set_acl_list 7",
      "acl_interface_set_acl_list 7",
      "acl_del 3",
    ]);
  });

  it("fail alone, and with what needs them", async () => {
    const { commit } = setUp(["bad"]);
    const results = await commit(list("create", "bad", [A]), list("create", "good", [B]), binding("create", ["bad"]));
    expect(results.map((r) => (r.ok ? "ok" : r.error.message))).toEqual([
      "VPP has no memory",
      "ok",
      "VPP has no list bad",
    ]);
  });
});

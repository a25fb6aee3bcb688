import { describe, expect, it } from "vitest";
import { type Cell, type Endpoint, expectWrong, judge, planCells } from "../../../src/lab/demo/cells.ts";

const node = (n: number): Endpoint => ({
  kind: "node",
  name: `n${n}`,
  node: `n${n}`,
  netns: `x-n${n}`,
  ips: [`192.168.77.${n}`, `fd77::${n}`],
});
const pod = (n: number, i: number): Endpoint => ({
  kind: "pod",
  name: `n${n}-p${i}`,
  node: `n${n}`,
  netns: `x-p${n}${i}`,
  ips: [`10.244.${n}.${i}`, `fd10:244:0:${n}::${i}`],
});
const outside: Endpoint = { kind: "outside", name: "outside", netns: "x-out", ips: ["198.51.100.2", "2001:db8:77::2"] };
const pods = [pod(1, 1), pod(1, 2), pod(2, 1)];
const cells = planCells(pods, [node(1), node(2)], outside);
const cell = (id: string): Cell => {
  const found = cells.find((c) => c.id === id);
  if (!found) throw new Error(`no cell ${id}`);
  return found;
};

describe("the demo's cells", () => {
  it("are pod × pod, pod → own node, each node → pod and pod → outside, in three protocols and two families", () => {
    expect(cells).toHaveLength((3 * 3 + 3 + 2 * 3 + 3) * 3 * 2);
    expect(new Set(cells.map((c) => c.id)).size).toBe(cells.length);
    expect(cells.some((c) => c.from.name === "n1-p1" && c.to.name === "n2")).toBe(false);
  });

  it("expect a pod to be seen as itself inside the cluster, and as its node outside", () => {
    expect(cell("n1-p1>n2-p1/tcp/ipv4").seenAs).toEqual(["10.244.1.1"]);
    expect(cell("n1-p1>n1/udp/ipv6").seenAs).toEqual(["fd10:244:0:1::1"]);
    expect(cell("n2-p1>outside/tcp/ipv6").seenAs).toEqual(["fd77::2"]);
    expect(cell("n2-p1>outside/icmp/ipv4").seenAs).toBeUndefined();
  });
});

describe("judging a cell", () => {
  const reached = cell("n1-p1>outside/tcp/ipv4");
  it.each([
    ["accepts the expected answer", reached, { ok: true, us: 5, seenAs: "192.168.77.1" }, /^$/],
    ["rejects an untranslated source", reached, { ok: true, us: 5, seenAs: "10.244.1.1" }, /seen as 10.244.1.1/],
    ["rejects silence, with its reason", reached, { ok: false, error: "ETIMEDOUT" }, /no answer: ETIMEDOUT/],
    [
      "rejects an answer where silence is expected",
      { ...reached, expected: "closed" },
      { ok: true, us: 1 },
      /expected not/,
    ],
    ["accepts silence where it is expected", { ...reached, expected: "closed" }, { ok: false, error: "X" }, /^$/],
  ] as const)("%s", (_what, c, result, wrong) => {
    expect(judge(c, result).wrong ?? "").toMatch(wrong);
  });

  it("rejects a target that lacks the family, instead of passing it over", () => {
    const v6 = planCells([{ ...pod(1, 1), ips: ["10.244.1.1"] }], [node(1)], outside).find((c) => c.family === "ipv6");
    expect(v6?.address).toBeUndefined();
    expect(v6 && judge(v6, "no address").wrong).toMatch(/n1-p1 has no IPv6 address/);
  });
});

describe("expectWrong", () => {
  it("turns exactly one cell round", () => {
    const changed = expectWrong(cells, "n1-p1>n2-p1/tcp/ipv4") ?? [];
    expect(changed.filter((c) => c.expected === "closed").map((c) => c.id)).toEqual(["n1-p1>n2-p1/tcp/ipv4"]);
  });

  it("knows when there is no such cell", () => expect(expectWrong(cells, "n1-p1>n2-p1/sctp/ipv4")).toBeUndefined());
});

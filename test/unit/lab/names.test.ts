import { describe, expect, it } from "vitest";
import { parseAnnotations, parseLabels, parsePodName } from "../../../src/lab/names.ts";
import { LabPaths } from "../../../src/lab/paths.ts";

describe("pod names", () => {
  it.each([
    ["web", { namespace: "default", name: "web" }],
    ["shop/web-0", { namespace: "shop", name: "web-0" }],
    ["shop/web.v1", { namespace: "shop", name: "web.v1" }],
  ])("reads %s", (text, pod) => expect(parsePodName(text)).toEqual(pod));

  it.each(["", "/", "a/", "/b", "a/b/c", "A/b", "a/b_c", "a/-b", "../x", "a b", `${"n".repeat(64)}/a`])(
    "refuses %j as wrong usage",
    (text) => expect(() => parsePodName(text)).toThrow(expect.objectContaining({ code: "USAGE" })),
  );
});

describe("labels", () => {
  it("reads pairs, with values that hold = and may be empty", () => {
    expect(parseLabels("app=web,eq=a=b,none=")).toEqual({ app: "web", eq: "a=b", none: "" });
    expect(parseLabels("")).toEqual({});
  });

  it.each(["app", "=x"])("refuses %j", (text) => {
    expect(() => parseLabels(text)).toThrow(expect.objectContaining({ code: "USAGE" }));
  });
});

describe("annotations", () => {
  it("reads pairs, with values that have commas of their own", () => {
    expect(parseAnnotations("heddle.dev/interfaces=memif1/memif,wire0/veth,color=blue,none=")).toEqual({
      "heddle.dev/interfaces": "memif1/memif,wire0/veth",
      color: "blue",
      none: "",
    });
    expect(parseAnnotations("")).toEqual({});
  });

  it.each(["memif1/memif", "=x", "a=1,=x"])("refuses %j", (text) => {
    expect(() => parseAnnotations(text)).toThrow(expect.objectContaining({ code: "USAGE" }));
  });
});

describe("the state directory", () => {
  it("is refused when the sockets in it would have too long a name", () => {
    const node = { name: "n1", dataplane: "linux" } as const;
    expect(() => new LabPaths("/tmp/short").assertSocketsFit([node])).not.toThrow();
    expect(() => new LabPaths(`/tmp/${"d".repeat(100)}`).assertSocketsFit([node])).toThrow(
      expect.objectContaining({ code: "USAGE" }),
    );
  });
});

import { describe, expect, it } from "vitest";
import { environmentFromHeaders } from "../../../../src/pods/cni/environment.ts";
import { errorOf, parse } from "./support.ts";

describe("CNI_COMMAND", () => {
  it.each([undefined, "", "add", "ADD ", "UPDATE", "constructor"])("is refused when it is %j", (command) => {
    expect(errorOf(() => parse({}, { command }))).toMatch(/^INVALID_ENVIRONMENT CNI_COMMAND is (missing|invalid)/);
  });
});

describe("CNI_CONTAINERID", () => {
  it.each(["a", "0", "A-b_c.d", "a..b", "f".repeat(64), "f".repeat(255)])("may be %s", (containerId) => {
    expect(parse({}, { containerId })).toMatchObject({ containerId });
  });

  it.each(["-a", ".a", "_a", "..", "a/b", "a b", "a\n", "a\0b", "\u00e9", "a:b", "a\u007f", "f".repeat(256)])(
    "is refused when it is %j",
    (containerId) => {
      for (const command of ["ADD", "DEL", "CHECK"]) {
        const error = errorOf(() => parse({ prevResult: {} }, { command, containerId }));
        expect(error).toMatch(/^INVALID_ENVIRONMENT CNI_CONTAINERID is invalid: it is /);
      }
    },
  );
});

describe("CNI_IFNAME", () => {
  it.each(["eth0", "a", "...", "a".repeat(15), "net1.100", "\u00e9th0", "-"])("may be %s", (ifname) => {
    expect(parse({}, { ifname })).toMatchObject({ ifname });
  });

  it.each([
    ["a".repeat(16), "at most 15 bytes"],
    ["\u00e9".repeat(8), "at most 15 bytes"],
    [".", "must not be . or .."],
    ["..", "must not be . or .."],
    ["a/b", "must not contain / or : or white space or control characters"],
    ["a:1", "must not contain"],
    ["a b", "must not contain"],
    ["a\tb", "must not contain"],
    ["a\u0001", "must not contain"],
    ["a\u007f", "must not contain"],
    ["a\u0085", "must not contain"],
    ["a\u00a0", "must not contain"],
  ])("is refused when it is %j", (ifname, rule) => {
    for (const command of ["ADD", "DEL", "CHECK"]) {
      const error = errorOf(() => parse({ prevResult: {} }, { command, ifname }));
      expect(error).toMatch(/^INVALID_ENVIRONMENT CNI_IFNAME is invalid: it is /);
      expect(error).toContain(rule);
    }
  });
});

describe("CNI_NETNS", () => {
  it.each(["run/netns/x", "x", "./x", "/a\0b", `/${"a".repeat(4095)}`])("is refused on ADD when it is %j", (netns) => {
    expect(errorOf(() => parse({}, { netns }))).toMatch(/^INVALID_ENVIRONMENT CNI_NETNS is invalid: it is /);
  });

  it.each([undefined, "", "run/netns/x"])("may be %j on DEL: the namespace is gone", (netns) => {
    expect(parse({}, { command: "DEL", netns })).not.toHaveProperty("netns");
  });

  it("is handed on by DEL when it is a path", () => {
    expect(parse({}, { command: "DEL" })).toMatchObject({ netns: "/run/netns/blue" });
  });
});

describe("variables that a command needs", () => {
  const needed = {
    ADD: ["containerId", "netns", "ifname"],
    CHECK: ["containerId", "netns", "ifname"],
    DEL: ["containerId", "ifname"],
    GC: ["path"],
    STATUS: [],
  } as const;
  const names = { containerId: "CNI_CONTAINERID", netns: "CNI_NETNS", ifname: "CNI_IFNAME", path: "CNI_PATH" } as const;
  const more = { prevResult: {}, "cni.dev/valid-attachments": [] };

  for (const [command, required] of Object.entries(needed)) {
    for (const field of ["containerId", "netns", "ifname", "path"] as const) {
      const missing = required.some((name) => name === field);
      it(`${command} ${missing ? "fails without" : "does without"} ${names[field]}, unset or empty`, () => {
        const wanted = missing ? `INVALID_ENVIRONMENT ${names[field]} is missing` : "no error";
        for (const value of [undefined, ""]) {
          expect(errorOf(() => parse(more, { command, [field]: value }))).toMatch(new RegExp(`^${wanted}`));
        }
      });
    }
  }
});

describe("CNI_ARGS", () => {
  it("gives the pod's names", () => {
    expect(parse()).toMatchObject({
      args: { podNamespace: "default", podName: "web-0", podUid: "u", podInfraContainerId: "0123abcd" },
    });
  });

  it.each([
    [undefined, {}],
    ["", {}],
    ["K8S_POD_NAME=a;", { podName: "a" }],
    ["K8S_POD_NAME=a;K8S_POD_NAME=b", { podName: "b" }],
    ["K8S_POD_NAME=;", {}],
    ["FOO=BAR;IgnoreUnknown=true;ABC=123", {}],
    ["IgnoreUnknown=0;K8S_POD_UID=u", { podUid: "u" }],
  ])("%j is read as %j", (args, expected) => {
    expect(parse({}, { args })).toHaveProperty("args", expected);
  });

  it.each([
    "FOO=BAR",
    "IgnoreUnknown=0;FOO=BAR",
    "FOO=1;IgnoreUnknown=false",
    "K8S_POD_NAME",
    "K8S_POD_NAME=a=b",
    "=a",
    "IgnoreUnknown=yes",
  ])("%j is refused on ADD, and does not keep DEL from removing the pod", (args) => {
    expect(errorOf(() => parse({}, { args }))).toMatch(/^INVALID_ENVIRONMENT CNI_ARGS is invalid/);
    expect(parse({}, { command: "DEL", args })).toMatchObject({ command: "DEL" });
  });
});

describe("the headers of the executable", () => {
  it("become the environment, percent-decoded; an absent header is an unset variable", () => {
    const headers = {
      "x-cni-command": "ADD",
      "x-cni-args": "A%3Db%3Bc%3D%C3%A9%0A",
      "x-cni-netns": "",
      host: "heddle",
    };
    expect(environmentFromHeaders(headers)).toEqual({ command: "ADD", args: "A=b;c=\u00e9\n", netns: "" });
  });

  it("are refused by the variable's name when they are not UTF-8", () => {
    expect(errorOf(() => environmentFromHeaders({ "x-cni-ifname": "eth%FF" }))).toBe(
      "INVALID_ENVIRONMENT CNI_IFNAME is not UTF-8: its bytes are eth%FF",
    );
  });
});

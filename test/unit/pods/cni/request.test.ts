import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { CniError, toErrorBody } from "../../../../src/pods/cni/errors.ts";
import { CNI_VERSIONS } from "../../../../src/pods/cni/versions.ts";
import { config, errorOf, parse, parseText } from "./support.ts";

describe("the configuration as a whole", () => {
  it.each(["", " ", "not json", "{", '{"a":1} x', "\u0000"])("is refused when it is not JSON: %j", (text) => {
    expect(errorOf(() => parseText(text))).toMatch(
      /^DECODING_FAILURE the network configuration is not JSON: \d+ bytes/,
    );
  });

  it("is refused when it is not UTF-8", () => {
    const text = Buffer.from('{"name":"\xff"}', "latin1");
    expect(errorOf(() => parseText(text))).toMatch(/^DECODING_FAILURE the network configuration is not JSON/);
  });

  it.each(["null", "5", '"x"', "[]"])("is refused when it is no object: %s", (text) => {
    expect(errorOf(() => parseText(text))).toMatch(/^DECODING_FAILURE .* is not a JSON object: standard input holds/);
  });

  it("never fails but with an error for the runtime, whatever JSON it is", () => {
    const commands = fc.constantFrom("ADD", "DEL", "CHECK", "STATUS", "GC", "VERSION");
    const keys = [
      "runtimeConfig",
      "args",
      "prevResult",
      "ipam",
      "dns",
      "cni.dev/valid-attachments",
      "cniVersion",
      "__proto__",
    ];
    const objects = fc.dictionary(fc.constantFrom(...keys), fc.jsonValue({ maxDepth: 4 }));
    const run = () =>
      fc.assert(
        fc.property(commands, objects, (command, more) => {
          try {
            parse(more, { command });
          } catch (e) {
            if (!(e instanceof CniError)) throw e;
            JSON.stringify(toErrorBody(e));
          }
        }),
        { numRuns: 500 },
      );
    expect(run).not.toThrow();
  });
});

describe("cniVersion", () => {
  it.each(CNI_VERSIONS)("%s is spoken by ADD and DEL", (cniVersion) => {
    expect(parse({ cniVersion })).toMatchObject({ cniVersion });
    expect(parse({ cniVersion }, { command: "DEL" })).toMatchObject({ cniVersion });
  });

  it.each(["0.1.0", "0.2.0", "0.3.2", "1.2.0", "2.0.0", "1.1", "x"])(
    "%s is refused with what is supported",
    (cniVersion) => {
      const wanted = `incompatible CNI version: cniVersion is "${cniVersion}"; Heddle supports ${CNI_VERSIONS.join(", ")}`;
      expect(errorOf(() => parse({ cniVersion }))).toBe(`INCOMPATIBLE_VERSION ${wanted}`);
    },
  );

  it.each([undefined, ""])("that is missing means 0.1.0", (cniVersion) => {
    expect(errorOf(() => parse({ cniVersion }))).toContain("INCOMPATIBLE_VERSION");
    expect(errorOf(() => parse({ cniVersion }))).toContain("0.1.0");
  });

  it.each([5, null, {}, ["1.1.0"]])("is refused when it is %j", (cniVersion) => {
    expect(errorOf(() => parse({ cniVersion }))).toMatch(/^DECODING_FAILURE cniVersion is not a string/);
  });

  it.each([
    ["CHECK", "0.3.1", "0.4.0"],
    ["STATUS", "1.0.0", "1.1.0"],
    ["GC", "1.0.0", "1.1.0"],
  ])("of %s must not be %s", (command, cniVersion, since) => {
    const error = errorOf(() => parse({ cniVersion }, { command }));
    expect(error).toContain(`INCOMPATIBLE_VERSION the configuration's version does not allow ${command}`);
    expect(error).toContain(since);
  });
});

describe("name and type", () => {
  it.each([undefined, "", 5, "-a", "a/b", "a b"])("a name of %j is refused by every command", (name) => {
    for (const command of ["ADD", "DEL", "CHECK", "STATUS", "GC"]) {
      expect(errorOf(() => parse({ name }, { command }))).toMatch(
        /^INVALID_CONFIG the network has no valid name: name is/,
      );
    }
  });

  it.each([undefined, "", 5, "a/b", "a\\b"])("a type of %j is refused", (type) => {
    expect(errorOf(() => parse({ type }))).toMatch(/^INVALID_CONFIG .*: type: /);
  });
});

describe("keys", () => {
  it("of the spec, the conventions and ours are accepted", () => {
    const more = {
      cniVersions: ["1.0.0", "1.1.0"],
      capabilities: { portMappings: true },
      args: { cni: { labels: [{ key: "a", value: "b" }] }, other: 1 },
      ipMasq: true,
      ipam: {},
      dns: { nameservers: ["10.0.0.10"], domain: "d", search: ["s"], options: ["ndots:5"] },
      disableCheck: true,
      disableGC: false,
      loadOnlyInlinedPlugins: false,
      mtu: 1400,
      cniSocket: "/run/heddle/cni.sock",
      cniTimeoutSeconds: 10.5,
      "cni.dev/anything": {},
    };
    expect(parse(more)).toMatchObject({ options: { mtu: 1400, ipMasq: true, dns: more.dns } });
  });

  it.each([
    [{ bridge: "cni0" }, 'bridge = "cni0"'],
    [{ runtimeConfig: { ipRanges: [[]] } }, "runtimeConfig.ipRanges = [[]]"],
    [
      { runtimeConfig: { portMappings: [{ hostPort: 1, containerPort: 2, name: "x" }] } },
      'runtimeConfig.portMappings[0].name = "x"',
    ],
    [{ ipam: { type: "heddle", subnet: "10.0.0.0/8" } }, 'ipam.subnet = "10.0.0.0/8"'],
    [{ ipam: { type: "host-local" } }, 'ipam.type = "host-local"'],
    [{ "a b": 1 }, "a b = 1"],
  ])("that nobody defines are refused with key and value: %j", (more, shown) => {
    expect(errorOf(() => parse(more))).toContain(
      `UNSUPPORTED_FIELD unsupported field in network configuration: ${shown}:`,
    );
  });

  it("do not keep DEL from removing the pod, whatever they are", () => {
    const broken = { bridge: 1, ipam: { type: "host-local" }, runtimeConfig: 5, prevResult: 7, type: 8, dns: [] };
    expect(parse(broken, { command: "DEL" })).toMatchObject({ command: "DEL", containerId: "0123abcd" });
  });

  it.each([
    [{ mtu: 1279 }, "mtu"],
    [{ mtu: 65_536 }, "mtu"],
    [{ mtu: 1500.5 }, "mtu"],
    [{ cniSocket: "cni.sock" }, "cniSocket"],
    [{ cniSocket: `/${"a".repeat(107)}` }, "cniSocket"],
    [{ cniTimeoutSeconds: 0 }, "cniTimeoutSeconds"],
    [{ ipMasq: "yes" }, "ipMasq"],
    [{ ipam: [] }, "ipam"],
    [{ dns: { nameservers: ["x"] } }, "dns.nameservers[0]"],
    [{ capabilities: { mac: 1 } }, "capabilities.mac"],
    [{ disableCheck: 1 }, "disableCheck"],
    [{ prevResult: [] }, "prevResult"],
    [{ args: 1 }, "args"],
    [{ args: { cni: { ips: ["x"] } } }, "args.cni.ips[0]"],
  ])("with a value that is wrong are named: %j", (more, path) => {
    expect(errorOf(() => parse(more))).toContain(`INVALID_CONFIG the network configuration is invalid: ${path}: `);
  });

  it("that are wrong are named all at once", () => {
    expect(errorOf(() => parse({ mtu: 1, ipMasq: 1 }))).toMatch(/ipMasq: .*; mtu: /);
  });
});

const gc = (more: object) => parse(more, { command: "GC" });

describe("GC", () => {
  const wire = [{ containerID: "a", ifname: "eth0" }];
  const valid = [{ containerId: "a", ifname: "eth0" }];

  it.each(["cni.dev/valid-attachments", "cni.dev/attachments"])("takes the list in %s", (key) => {
    expect(gc({ [key]: wire })).toEqual({
      command: "GC",
      cniVersion: "1.1.0",
      network: "net",
      validAttachments: valid,
    });
  });

  it("prefers the spec's name of the list", () => {
    expect(gc({ "cni.dev/attachments": [], "cni.dev/valid-attachments": wire })).toMatchObject({
      validAttachments: valid,
    });
  });

  it.each([[[]], [null]])("takes %j as: none is valid", (list) => {
    expect(gc({ "cni.dev/valid-attachments": list })).toMatchObject({ validAttachments: [] });
  });

  it.each([
    [{}, "cni.dev/valid-attachments: "],
    [{ "cni.dev/valid-attachments": {} }, "cni.dev/valid-attachments: "],
    [{ "cni.dev/valid-attachments": [{ containerID: "a" }] }, "cni.dev/valid-attachments[0].ifname: "],
    [{ "cni.dev/valid-attachments": [{ containerID: "", ifname: "e" }] }, "cni.dev/valid-attachments[0].containerID: "],
    [{ "cni.dev/attachments": [{ containerID: "a", ifname: "a/b" }] }, "cni.dev/attachments[0].ifname: "],
  ])("removes nothing when the list is missing or broken: %j", (more, details) => {
    expect(errorOf(() => gc(more))).toContain(`INVALID_CONFIG GC without a valid list of attachments: ${details}`);
  });
});

describe("CHECK, STATUS and VERSION", () => {
  it.each([{}, { prevResult: null }])("CHECK needs the result of the ADD: %j", (more) => {
    expect(errorOf(() => parse(more, { command: "CHECK" }))).toMatch(/^INVALID_CONFIG CHECK without the result/);
  });

  it("STATUS needs nothing but a valid configuration", () => {
    const environment = { command: "STATUS", containerId: "", netns: "", ifname: "", args: "", path: undefined };
    expect(parse({}, environment)).toEqual({ command: "STATUS", cniVersion: "1.1.0", network: "net" });
    expect(errorOf(() => parse({ bridge: 1 }, environment))).toContain("UNSUPPORTED_FIELD");
  });

  it("VERSION takes any version, and no input at all", () => {
    expect(parseText("", { command: "VERSION" })).toEqual({ command: "VERSION" });
    const asked = JSON.stringify({ cniVersion: "9.9.9" });
    expect(parseText(asked, { command: "VERSION" })).toEqual({ command: "VERSION", cniVersion: "9.9.9" });
    expect(errorOf(() => parseText('{"cniVersion":1}', { command: "VERSION" }))).toContain("DECODING_FAILURE");
  });

  it("prevResult of a later position is handed on by ADD", () => {
    const prevResult = { cniVersion: config.cniVersion, interfaces: [{ name: "lo", sandbox: "/run/netns/blue" }] };
    expect(parse({ prevResult })).toMatchObject({
      prevResult: { interfaces: prevResult.interfaces, ips: [], routes: [] },
    });
    expect(parse()).not.toHaveProperty("prevResult");
  });
});

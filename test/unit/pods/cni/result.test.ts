import { describe, expect, it } from "vitest";
import { expectedState } from "../../../../src/pods/cni/check.ts";
import {
  appendResult,
  type CniResult,
  findInterface,
  formatResult,
  parseResult,
} from "../../../../src/pods/cni/result.ts";
import { CNI_VERSIONS, cniVersionHas, compareCniVersions } from "../../../../src/pods/cni/versions.ts";
import { errorOf } from "./support.ts";

const netns = "/run/netns/blue";

const full: CniResult = {
  interfaces: [
    { name: "hd1234", mac: "02:00:00:00:00:01", mtu: 1500 },
    { name: "eth0", mac: "02:00:00:00:00:02", mtu: 1450, sandbox: netns, socketPath: "/s", pciID: "0000:04:00.5" },
  ],
  ips: [
    { address: "10.1.0.5/32", gateway: "169.254.1.1", interface: 1 },
    { address: "fd00::5/128", gateway: "fe80::1", interface: 1 },
    { address: "192.0.2.1/24" },
  ],
  routes: [
    { dst: "0.0.0.0/0", gw: "169.254.1.1", mtu: 1450, advmss: 1410, priority: 7, table: 5, scope: 0 },
    { dst: "::/0" },
  ],
  dns: { nameservers: ["10.0.0.10"], domain: "d", search: ["s"], options: ["o"] },
};

describe("versions", () => {
  it("are ordered, and features begin where the spec says", () => {
    expect([...CNI_VERSIONS].reverse().sort(compareCniVersions)).toEqual(CNI_VERSIONS);
    expect(CNI_VERSIONS.filter((version) => cniVersionHas(version, "check"))).toEqual(["0.4.0", "1.0.0", "1.1.0"]);
    expect(CNI_VERSIONS.filter((version) => cniVersionHas(version, "gc"))).toEqual(["1.1.0"]);
  });
});

describe("a result", () => {
  it.each(["0.3.0", "0.3.1", "0.4.0"] as const)(
    "of %s says each address's IP version and knows no later field",
    (version) => {
      expect(formatResult(full, version)).toEqual({
        cniVersion: version,
        interfaces: [
          { name: "hd1234", mac: "02:00:00:00:00:01", sandbox: "" },
          { name: "eth0", mac: "02:00:00:00:00:02", sandbox: netns },
        ],
        ips: [
          { version: "4", address: "10.1.0.5/32", gateway: "169.254.1.1", interface: 1 },
          { version: "6", address: "fd00::5/128", gateway: "fe80::1", interface: 1 },
          { version: "4", address: "192.0.2.1/24" },
        ],
        routes: [{ dst: "0.0.0.0/0", gw: "169.254.1.1" }, { dst: "::/0" }],
        dns: full.dns,
      });
    },
  );

  it("of 1.0.0 says no IP version", () => {
    expect(formatResult(full, "1.0.0")).toEqual({
      cniVersion: "1.0.0",
      interfaces: [
        { name: "hd1234", mac: "02:00:00:00:00:01", sandbox: "" },
        { name: "eth0", mac: "02:00:00:00:00:02", sandbox: netns },
      ],
      ips: full.ips,
      routes: [{ dst: "0.0.0.0/0", gw: "169.254.1.1" }, { dst: "::/0" }],
      dns: full.dns,
    });
  });

  it("of 1.1.0 says everything", () => {
    expect(formatResult(full, "1.1.0")).toEqual({
      cniVersion: "1.1.0",
      interfaces: [{ ...full.interfaces[0], sandbox: "" }, full.interfaces[1]],
      ips: full.ips,
      routes: full.routes,
      dns: full.dns,
    });
  });

  it.each(CNI_VERSIONS)("of %s has every key even when it is empty", (version) => {
    const empty = { interfaces: [], ips: [], routes: [], dns: {} };
    expect(formatResult(empty, version)).toEqual({ cniVersion: version, ...empty });
  });

  it.each(CNI_VERSIONS)("of %s is read back as it was written", (version) => {
    const json: unknown = JSON.parse(JSON.stringify(formatResult(full, version)));
    expect(formatResult(parseResult(json), version)).toEqual(json);
  });
});

describe("prevResult", () => {
  it("may lack everything, or have null for it, as Go's encoders write", () => {
    const empty = { interfaces: [], ips: [], routes: [], dns: {} };
    expect(parseResult({})).toEqual(empty);
    expect(parseResult({ interfaces: null, ips: null, routes: null, dns: null })).toEqual(empty);
    expect(parseResult({ dns: { nameservers: null, domain: "" } })).toEqual(empty);
  });

  it("keeps the text of addresses, and drops what the spec does not know", () => {
    const json = {
      interfaces: [{ name: "a", x: 1 }],
      ips: [{ version: "6", address: "FD00::0/64", interface: 0 }],
      x: 1,
    };
    expect(parseResult(json)).toMatchObject({
      interfaces: [{ name: "a" }],
      ips: [{ address: "FD00::0/64", interface: 0 }],
    });
  });

  it.each([
    [{ interfaces: {} }, "prevResult.interfaces: "],
    [{ interfaces: [{}] }, "prevResult.interfaces[0].name: "],
    [{ interfaces: [{ name: "a", mtu: -1 }] }, "prevResult.interfaces[0].mtu: "],
    [{ ips: [{ address: "10.0.0.1" }] }, "prevResult.ips[0].address: must be an address with its prefix"],
    [{ ips: [{ address: "x" }] }, "prevResult.ips[0].address: "],
    [{ ips: [{ address: "10.0.0.1/8", gateway: "x" }] }, "prevResult.ips[0].gateway: "],
    [
      { ips: [{ address: "10.0.0.1/8", interface: 0 }] },
      "prevResult.ips[0].interface is 0, but there are 0 interfaces",
    ],
    [{ ips: [{ address: "10.0.0.1/8", interface: -1 }] }, "prevResult.ips[0].interface: "],
    [{ routes: [{ gw: "10.0.0.1" }] }, "prevResult.routes[0].dst: "],
    [{ routes: [{ dst: "0.0.0.0/0", table: 1.5 }] }, "prevResult.routes[0].table: "],
    [{ dns: { search: "x" } }, "prevResult.dns.search: "],
    [{ cniVersion: 5 }, "prevResult.cniVersion: "],
  ])("is refused by field: %j", (json, details) => {
    expect(errorOf(() => parseResult(json))).toContain(`INVALID_CONFIG prevResult is invalid: ${details}`);
  });

  it("of a version we do not speak is refused", () => {
    const old = { cniVersion: "0.2.0", ip4: { ip: "10.0.0.1/8" } };
    expect(errorOf(() => parseResult(old))).toMatch(/^INCOMPATIBLE_VERSION prevResult has an unsupported version/);
  });
});

describe("in a later position of a chain", () => {
  const previous: CniResult = {
    interfaces: [{ name: "lo", sandbox: netns }, { name: "br0" }, { name: "net1", sandbox: netns }],
    ips: [{ address: "127.0.0.1/8", interface: 0 }],
    routes: [{ dst: "::/0" }, { dst: "10.0.0.0/8", gw: "10.0.0.1" }],
    dns: { nameservers: ["1.1.1.1"], search: ["x"] },
  };

  it("what earlier plugins said stays, and ours comes after it, pointing at our interfaces", () => {
    const result = appendResult(previous, full);
    expect(result.interfaces).toEqual([...previous.interfaces, ...full.interfaces]);
    expect(result.ips.map((ip) => ip.interface)).toEqual([0, 4, 4, undefined]);
    expect(result.ips.map((ip) => result.interfaces[ip.interface ?? -1]?.name)).toEqual([
      "lo",
      "eth0",
      "eth0",
      undefined,
    ]);
  });

  it("a route that is there already is not repeated", () => {
    expect(appendResult(previous, full).routes).toEqual([...previous.routes, full.routes[0]]);
  });

  it("the DNS settings of earlier plugins win, each by itself", () => {
    expect(appendResult(previous, full).dns).toEqual({
      nameservers: ["1.1.1.1"],
      search: ["x"],
      domain: "d",
      options: ["o"],
    });
  });

  it("the pod's interface is found by name and namespace", () => {
    expect(findInterface(full, "eth0", netns)).toEqual({
      index: 1,
      interface: full.interfaces[1],
      ips: full.ips.slice(0, 2),
    });
    expect(findInterface(full, "eth0", "/run/netns/other")).toBe(undefined);
    expect(findInterface(full, "hd1234", netns)).toBe(undefined);
  });
});

describe("what CHECK expects", () => {
  const attachment = { ifname: "eth0", netns };

  it("is all that ADD made when nobody came after us", () => {
    expect(expectedState(full, full, attachment)).toEqual({
      interface: full.interfaces[1],
      ips: full.ips.slice(0, 2),
      routes: full.routes,
    });
  });

  it("leaves out what a later plugin took away, and takes its MAC and MTU", () => {
    const changed = { ...full.interfaces[1], name: "eth0", mac: "02:00:00:00:00:99", mtu: 1400 };
    const final = { ...full, interfaces: [{ name: "x" }, changed], ips: full.ips.slice(1), routes: [] };
    expect(expectedState(final, full, attachment)).toEqual({ interface: changed, ips: [full.ips[1]], routes: [] });
  });

  it("does not care how an address is written", () => {
    const final = { ...full, ips: [{ address: "FD00:0::5/128", interface: 1 }], routes: [{ dst: "0::/0" }] };
    const { ips, routes } = expectedState(final, full, attachment);
    expect(ips).toEqual([full.ips[1]]);
    expect(routes).toEqual([{ dst: "::/0" }]);
  });

  it("is an error when the result lists neither our interface nor our addresses", () => {
    expect(errorOf(() => expectedState({ ...full, interfaces: [] }, full, attachment))).toMatch(
      /^CHECK_FAILED the result of ADD does not list the pod's interface: .*eth0 in \/run\/netns\/blue/,
    );
    expect(errorOf(() => expectedState({ ...full, ips: [] }, full, attachment))).toMatch(
      /^CHECK_FAILED the result of ADD does not list the pod's addresses: .*10\.1\.0\.5\/32/,
    );
  });
});

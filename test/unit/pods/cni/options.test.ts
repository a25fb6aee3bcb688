import { describe, expect, it } from "vitest";
import { errorOf, parse } from "./support.ts";

const withRuntime = (runtimeConfig: object) => parse({ runtimeConfig });

describe("portMappings", () => {
  it("come with their protocol in lower case, tcp where there is none", () => {
    const portMappings = [
      { hostPort: 8080, containerPort: 80, protocol: "TCP" },
      { hostPort: 53, containerPort: 53, protocol: "Udp", hostIP: "2001:DB8:0::1" },
      { hostPort: 65_535, containerPort: 1, protocol: "sctp", hostIP: "" },
      { hostPort: 81, containerPort: 81, hostIP: null },
    ];
    expect(withRuntime({ portMappings })).toMatchObject({
      options: {
        portMappings: [
          { hostPort: 8080, containerPort: 80, protocol: "tcp" },
          { hostPort: 53, containerPort: 53, protocol: "udp", hostIP: "2001:db8::1" },
          { hostPort: 65_535, containerPort: 1, protocol: "sctp" },
          { hostPort: 81, containerPort: 81, protocol: "tcp" },
        ],
      },
    });
  });

  it.each([
    [{ hostPort: 0 }, "[0].hostPort"],
    [{ hostPort: 65_536 }, "[0].hostPort"],
    [{ hostPort: "80" }, "[0].hostPort"],
    [{ hostPort: 1.5 }, "[0].hostPort"],
    [{ hostPort: undefined }, "[0].hostPort"],
    [{ containerPort: -1 }, "[0].containerPort"],
    [{ protocol: "icmp" }, "[0].protocol"],
    [{ hostIP: "localhost" }, "[0].hostIP"],
    [{ hostIP: "10.0.0.0/8" }, "[0].hostIP"],
  ])("are refused by field: %j", (field, path) => {
    const portMappings = [{ hostPort: 1, containerPort: 2, protocol: "tcp", ...field }];
    expect(errorOf(() => withRuntime({ portMappings }))).toContain(`INVALID_CONFIG`);
    expect(errorOf(() => withRuntime({ portMappings }))).toContain(`: runtimeConfig.portMappings${path}: `);
  });

  it("are refused when two are for the same port of the same address, however it is written", () => {
    const a = { hostPort: 1, containerPort: 2, protocol: "udp", hostIP: "fd00::1" };
    const b = { ...a, containerPort: 3, protocol: "UDP", hostIP: "FD00:0::1" };
    expect(errorOf(() => withRuntime({ portMappings: [a, b] }))).toContain(
      "portMappings[1]: the same udp port 1 as in [0]",
    );
    expect(errorOf(() => withRuntime({ portMappings: [a, { ...b, protocol: "tcp" }] }))).toBe("no error");
  });
});

describe("bandwidth", () => {
  it("is given per direction, absent where there is no limit", () => {
    // As containerd sends it for a pod with an egress limit only.
    const bandwidth = { ingressRate: 0, ingressBurst: 0, egressRate: 1e15, egressBurst: 4_294_967_295 };
    const request = withRuntime({ bandwidth });
    expect(request).toMatchObject({ options: { egress: { rate: 1e15, burst: 4_294_967_295 } } });
    expect(request).not.toHaveProperty("options.ingress");
    expect(withRuntime({ bandwidth: { ingressRate: 5, ingressBurst: 6 } })).toMatchObject({
      options: { ingress: { rate: 5, burst: 6 } },
    });
  });

  it.each([
    [{ ingressRate: 5 }, "ingressBurst: must be set"],
    [{ egressBurst: 5 }, "egressRate: must be set"],
    [{ ingressRate: -1 }, "ingressRate: "],
    [{ egressRate: 1, egressBurst: 2 ** 35 }, "egressBurst: "],
    [{ egressRate: 1.5, egressBurst: 1 }, "egressRate: "],
    [{ ingressRate: "1M", ingressBurst: 1 }, "ingressRate: "],
  ])("is refused by field: %j", (bandwidth, details) => {
    expect(errorOf(() => withRuntime({ bandwidth }))).toContain(`: runtimeConfig.bandwidth.${details}`);
  });
});

const asked = (more: object, args?: string) => parse(more, args === undefined ? {} : { args });

describe("addresses", () => {
  it.each([
    ["10.1.2.3/24", { address: "10.1.2.3", prefixLength: 24 }],
    ["10.1.2.3", { address: "10.1.2.3" }],
    ["3FFE:ffff:0:1ff::1/64", { address: "3ffe:ffff:0:1ff::1", prefixLength: 64 }],
    ["::1", { address: "::1" }],
  ])("%s is read as %j", (text, expected) => {
    expect(asked({ runtimeConfig: { ips: [text] } })).toHaveProperty("options.ips", [expected]);
  });

  it.each([
    "",
    "10.1.2",
    "10.1.2.3/33",
    "10.1.2.3/",
    "10.1.2.3/08",
    "10.1.2.3/-1",
    "::1/129",
    "fe80::1%eth0",
    "a/b/c",
    "1.2.3.4/24/8",
  ])("%j is refused", (text) => {
    expect(errorOf(() => asked({ runtimeConfig: { ips: ["10.0.0.1", text] } }))).toContain(
      ": runtimeConfig.ips[1]: must be",
    );
    expect(errorOf(() => asked({}, `IP=${text || "x"}`))).toContain("INVALID_ENVIRONMENT CNI_ARGS is invalid");
  });

  it("come from the capability, else from args, else from CNI_ARGS", () => {
    const runtimeConfig = { ips: ["10.0.0.1"] };
    const args = { cni: { ips: ["10.0.0.2"] } };
    expect(asked({ runtimeConfig, args }, "IP=10.0.0.3")).toHaveProperty("options.ips", [{ address: "10.0.0.1" }]);
    expect(asked({ runtimeConfig: { ips: [] }, args }, "IP=x")).toHaveProperty("options.ips", [
      { address: "10.0.0.2" },
    ]);
    expect(asked({}, "IP=10.0.0.3/8")).toHaveProperty("options.ips", [{ address: "10.0.0.3", prefixLength: 8 }]);
    expect(asked({})).toHaveProperty("options.ips", []);
  });
});

describe("mac", () => {
  it("is made lower case; the capability wins over CNI_ARGS", () => {
    expect(parse({ runtimeConfig: { mac: "C2:11:22:33:44:5A" } }, { args: "MAC=02:00:00:00:00:01" })).toHaveProperty(
      "options.mac",
      "c2:11:22:33:44:5a",
    );
    expect(parse({}, { args: "MAC=02:00:00:00:00:01" })).toHaveProperty("options.mac", "02:00:00:00:00:01");
    expect(parse({ runtimeConfig: { mac: "" } })).not.toHaveProperty("options.mac");
  });

  it.each([
    "x",
    "c2:11:22:33:44",
    "c2:11:22:33:44:55:66",
    "c2-11-22-33-44-55",
    "01:00:5e:00:00:01",
    "ff:ff:ff:ff:ff:ff",
    "00:00:00:00:00:00",
  ])("%s is refused", (mac) => {
    expect(errorOf(() => withRuntime({ mac }))).toContain(": runtimeConfig.mac: must");
    expect(errorOf(() => parse({}, { args: `MAC=${mac}` }))).toContain("INVALID_ENVIRONMENT CNI_ARGS is invalid");
  });
});

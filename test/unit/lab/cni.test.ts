import { describe, expect, it } from "vitest";
import { type ConfList, deriveConf, resultIps } from "../../../src/lab/runtime/cni.ts";

const list: ConfList = {
  cniVersion: "1.1.0",
  name: "heddle",
  plugins: [{ type: "heddle", cniSocket: "/s", capabilities: { portMappings: true, mac: false } }],
};
const [plugin] = list.plugins;

describe("a plugin's configuration, as libcni derives it", () => {
  it("has the list's name and version, and no capabilities", () => {
    expect(plugin && deriveConf(list, plugin, undefined, undefined)).toEqual({
      type: "heddle",
      cniSocket: "/s",
      cniVersion: "1.1.0",
      name: "heddle",
    });
  });

  it("gets of the runtime's wishes those that it declares", () => {
    const wishes = {
      portMappings: [{ hostPort: 80, containerPort: 8080, protocol: "tcp" }],
      mac: "02:00:00:00:00:01",
      ips: [],
    };
    const conf = plugin && deriveConf(list, plugin, wishes, undefined);
    expect(conf?.["runtimeConfig"]).toEqual({ portMappings: wishes.portMappings });
  });

  it("gets the result before it", () => {
    expect(plugin && deriveConf(list, plugin, undefined, { ips: [] })).toMatchObject({ prevResult: { ips: [] } });
  });
});

it("reads a result's addresses without prefix length, IPv4 first", () => {
  const result = { ips: [{ address: "fd10::2/128" }, { address: "10.244.1.2/32" }] };
  expect(resultIps(result)).toEqual(["10.244.1.2", "fd10::2"]);
  expect(resultIps({})).toEqual([]);
});

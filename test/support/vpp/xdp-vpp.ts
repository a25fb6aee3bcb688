import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { MessageValue } from "../../../src/dataplane/vpp/binapi/codec/codecs.ts";
import { xdpApi } from "../../../src/dataplane/vpp/binapi/index.ts";
import { loadSchema } from "../../../src/dataplane/vpp/binapi/schema/load.ts";
import { VPP_API_DIRECTORY } from "./api-files.ts";
import { FakeSession } from "./fake-session.ts";
import type { FakeVpp } from "./fake-vpp.ts";

/** `string host_if[64]`, `u16 rxq_num=1` as vppapigen writes them. */
function field(line: string): unknown[] {
  const [, type = "", name, length, initial] = /^(\w+) (\w+)(?:\[(\d+)\])?(?:=(\w+))?$/.exec(line) ?? [];
  const full = type in xdpApi.types ? `vl_api_${type}_t` : type;
  const more = initial === undefined ? [] : [{ default: Number(initial) }];
  return [full, name, ...(length === undefined ? [] : [Number(length)]), ...more];
}

function enumeration(name: string, [first = "", ...values]: readonly string[]): unknown[] {
  return [name, ...values.map((v) => [v.split("=")[0], Number(v.split("=")[1])]), { enumtype: first.split(" ")[1] }];
}

/** The API file of a VPP that has AF_XDP's plugin: the installed one has none, and what was generated of one says it all. */
function xdpApiFile(): string {
  const types = Object.entries(xdpApi.types);
  const requests = Object.keys(xdpApi.messages).filter((name) => !name.endsWith("_reply"));
  return JSON.stringify({
    module: "af_xdp",
    enums: types.flatMap(([name, lines]) => (lines[0]?.startsWith("enum") === true ? [enumeration(name, lines)] : [])),
    enumflags: types.flatMap(([name, lines]) =>
      lines[0]?.startsWith("flags") === true ? [enumeration(name, lines)] : [],
    ),
    aliases: { interface_index: { type: "u32" } },
    types: [],
    unions: [],
    messages: Object.entries(xdpApi.messages).map(([name, { crc, fields }]) => [
      name,
      ...fields.map(field),
      { crc: `0x${crc}` },
    ]),
    services: Object.fromEntries(requests.map((name) => [name, { reply: `${name}_reply` }])),
  });
}

/** A fake VPP with the installed API files and that of AF_XDP. */
export class XdpVpp implements AsyncDisposable {
  readonly session: FakeSession;
  readonly apiDirectory: string;

  private constructor(session: FakeSession, apiDirectory: string) {
    this.session = session;
    this.apiDirectory = apiDirectory;
  }

  /** `without`: API files whose plugins are not loaded. */
  static async start(without: readonly string[] = []): Promise<XdpVpp> {
    const directory = mkdtempSync(join(tmpdir(), "hd-xdp-"));
    cpSync(VPP_API_DIRECTORY ?? "", directory, { recursive: true });
    mkdirSync(join(directory, "plugins"), { recursive: true });
    writeFileSync(join(directory, "plugins", "af_xdp.api.json"), xdpApiFile());
    return new XdpVpp(await FakeSession.start({ schema: await loadSchema(directory), without }), directory);
  }

  get vpp(): FakeVpp {
    return this.session.vpp;
  }

  connect() {
    return this.session.connect({ apiDirectory: this.apiDirectory });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.session[Symbol.asyncDispose]();
    rmSync(this.apiDirectory, { recursive: true });
  }
}

interface Shown {
  readonly interface_name: string;
  readonly interface_dev_type: string;
  tag: string;
  l2_address: string;
  mtu: readonly number[];
  flags: number;
}

/** What the fake is asked about AF_XDP interfaces it answers as VPP's source does (af_xdp/device.c). */
export function modelXdp(fake: FakeVpp): { readonly created: MessageValue[]; readonly interfaces: Map<number, Shown> } {
  const interfaces = new Map<number, Shown>();
  const created: MessageValue[] = [];
  let next = 1;
  const changed = (input: MessageValue, change: (shown: Shown) => void): number => {
    const shown = interfaces.get(Number(input["sw_if_index"]));
    if (!shown) return -2;
    change(shown);
    return 0;
  };
  fake.handle("af_xdp_create_v3", (input) => {
    // The socket of its first queue is another one's.
    const device = `xdp-${String(input["host_if"])}-`;
    if ([...interfaces.values()].some((shown) => shown.interface_name.startsWith(device))) return -12;
    created.push(input);
    const sw_if_index = next++;
    interfaces.set(sw_if_index, {
      interface_name: String(input["name"]),
      interface_dev_type: "AF_XDP interface",
      tag: "",
      l2_address: "02:fe:00:00:00:99",
      mtu: [9000, 0, 0, 0],
      flags: 0,
    });
    return { sw_if_index };
  });
  fake.handle("af_xdp_delete", (input) => (interfaces.delete(Number(input["sw_if_index"])) ? 0 : -68));
  fake.handle("sw_interface_set_mac_address", (input) =>
    changed(input, (shown) => (shown.l2_address = String(input["mac_address"]))),
  );
  fake.handle("sw_interface_tag_add_del", (input) =>
    changed(input, (shown) => (shown.tag = input["is_add"] === true ? String(input["tag"]) : "")),
  );
  fake.handle("sw_interface_set_mtu", (input) =>
    changed(input, (shown) => (shown.mtu = input["mtu"] as readonly number[])),
  );
  fake.handle("sw_interface_set_flags", (input) => changed(input, (shown) => (shown.flags = Number(input["flags"]))));
  fake.handle("sw_interface_dump", () => [...interfaces].map(([sw_if_index, shown]) => ({ sw_if_index, ...shown })));
  // Other drivers have no interfaces.
  for (const name of [
    "af_packet_dump",
    "memif_dump",
    "vxlan_tunnel_v2_dump",
    "sw_interface_tap_v2_dump",
    "gre_tunnel_v2_dump",
    "ipip_tunnel_dump",
    "wireguard_interface_dump",
    "ipsec_itf_dump",
    "sw_bond_interface_dump",
  ]) {
    fake.handle(name, () => []);
  }
  return { created, interfaces };
}

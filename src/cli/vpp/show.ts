import { Command } from "commander";
import type { FeatureArc, InterfaceView, SessionsView } from "../../dataplane/vpp/diagnosis/show.ts";
import { outputOption } from "../options.ts";
import { type OutputFormat, print, type Rows } from "../output.ts";
import { podNames, type VppOptions, vppOptions, withVpp } from "./client.ts";

interface ShowOptions extends VppOptions {
  readonly output: OutputFormat;
}

const load = () => import("../../dataplane/vpp/diagnosis/show.ts");

const showing = (name: string): Command => vppOptions(new Command(name)).addOption(outputOption());

export const interfaceRows = (interfaces: readonly InterfaceView[]): Rows => [
  ["POD", "NAME", "INTERFACE", "INDEX", "KIND", "ADMIN", "LINK", "MTU", "MAC", "ADDRESSES", "RX", "TX", "DROPS"],
  ...interfaces.map((i) => {
    const { vppName, swIfIndex, kind, admin, link, mtu, mac, rxPackets, txPackets, drops } = i;
    const addresses = i.addresses.join(", ") || "-";
    return [
      i.pod ?? "-",
      i.name ?? "-",
      vppName,
      swIfIndex,
      kind,
      admin,
      link,
      mtu,
      mac,
      addresses,
      rxPackets,
      txPackets,
      drops,
    ];
  }),
];

const featureRows = (arcs: readonly FeatureArc[]): Rows => [
  ["ARC", "FEATURES"],
  ...arcs.map(({ arc, features }) => [arc, features.join(" > ")]),
];

export function sessionRows({ cnat, acl }: SessionsView): Rows {
  const services = (cnat ?? []).map(({ proto, ends }) => ["service", proto, ends.join(" > ")]);
  const policy = acl ? `${acl.active} active, ${acl.added} added, ${acl.deleted} deleted` : "none";
  return [["OF", "PROTO", "SESSION"], ...services, ["policy", "-", policy]];
}

/** `heddlectl vpp show …` */
export function showCommand(): Command {
  const show = new Command("show").description("what a VPP has, by subject");
  show.addCommand(
    showing("interfaces")
      .description("interfaces with our names, addresses and counters")
      .action(async (o: ShowOptions) => {
        const { showInterfaces } = await load();
        await print(await withVpp(o, async (vpp) => showInterfaces(vpp, await podNames(o))), o.output, interfaceRows);
      }),
  );
  show.addCommand(
    showing("features")
      .description("what packets go through on an interface, in order")
      .argument("<interface>", "its pod, our name, VPP's name, or its number")
      .action(async (name: string, o: ShowOptions) => {
        const [{ parseFeatures }, { InterfaceNames }] = await Promise.all([
          load(),
          import("../../dataplane/vpp/diagnosis/interface-names.ts"),
        ]);
        const text = await withVpp(o, async (vpp) => {
          const { vppName } = (await InterfaceNames.read(vpp, await podNames(o))).find(name);
          return vpp.cli(`show interface features ${vppName}`);
        });
        await print(parseFeatures(text), o.output, featureRows);
      }),
  );
  show.addCommand(
    showing("errors")
      .description('why packets were given up, node by node, since VPP\'s start or "vpp cli -- clear errors"')
      .action(async (o: ShowOptions) => {
        const { parseErrors } = await load();
        const errors = parseErrors(await withVpp(o, (vpp) => vpp.cli("show errors")));
        await print(
          errors,
          o.output,
          (all): Rows => [
            ["COUNT", "NODE", "REASON", "SEVERITY"],
            ...all.map(({ count, node, reason, severity }) => [count, node, reason, severity]),
          ],
        );
      }),
  );
  show.addCommand(
    showing("sessions")
      .description("connections that services and policies remember")
      .action(async (o: ShowOptions) => {
        const { showSessions } = await load();
        await print(await withVpp(o, showSessions), o.output, sessionRows);
      }),
  );
  return show;
}

// What is in a VPP, and what happens to its interfaces. Run: node main.ts [API socket [directory of *.api.json]]
import { formatDifferences, IfStatusFlags, ipFromUnion, isRetryable, VppClient } from "heddle/vpp-api";

const [socket = "/run/vpp/api.sock", apiDirectory = "/usr/share/vpp/api"] = process.argv.slice(2);

await using vpp = await VppClient.open({
  socket,
  apiDirectory,
  name: "example",
  signal: AbortSignal.timeout(5000),
  onError: (error, what) => console.error(`${what}: ${error.message}`),
});
if (vpp.state.s === "ready") process.stdout.write(formatDifferences(vpp.state.info.differences));

async function show(): Promise<void> {
  const { version } = await vpp.request("show_version", {});
  console.log(`VPP ${version}`);
  const interfaces = await vpp.dump("sw_interface_dump", { sw_if_index: 0xffff_ffff, name_filter_valid: false });
  for (const i of interfaces) {
    const up = (i.flags & IfStatusFlags.IF_STATUS_API_FLAG_ADMIN_UP) !== 0;
    const addresses = await Promise.all(
      [false, true].map((is_ipv6) => vpp.dump("ip_address_dump", { sw_if_index: i.sw_if_index, is_ipv6 })),
    );
    const texts = addresses.flat().map((a) => a.prefix);
    console.log(`${i.sw_if_index} ${i.interface_name} ${up ? "up" : "down"} ${i.l2_address} ${texts.join(" ")}`);
  }
  for (const { route } of await vpp.dump("ip_route_dump", { table: { table_id: 0, is_ip6: false } })) {
    const hops = route.paths.map((p) => `${ipFromUnion(p.nh.address, 4)} on ${p.sw_if_index}`);
    console.log(`${route.prefix} via ${hops.join(", ") || "nothing"}`);
  }
}

await show();

// VPP forgets us when it is restarted; the client comes back, asks for the events anew, and tells us.
vpp.onState((state) => {
  console.log(`connection: ${state.s}`);
  if (state.s === "ready") show().catch((e: unknown) => console.error(isRetryable(e) ? "VPP went again" : e));
});
await vpp.subscribe("want_interface_events", { enable_disable: 1, pid: process.pid }, (e) => {
  console.log(`interface ${e.sw_if_index}: ${e.deleted ? "deleted" : `flags ${e.flags}`}`);
});
await new Promise((resolve) => process.once("SIGINT", resolve));

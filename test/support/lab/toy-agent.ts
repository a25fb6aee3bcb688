// A stand-in for heddle-agent, for tests of the lab itself: it joins the nodes by hand-made VXLAN routes with `ip`,
// masquerades what leaves the cluster, and answers /readyz and /status. Run as `node toy-agent.ts --config FILE`
// inside a node's namespace. TOY_EXIT=N makes it end at once with that status.
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { parse } from "yaml";

interface Config {
  readonly nodeName: string;
  readonly dataplane: string;
  readonly rest: string;
  readonly store: { readonly kind: string };
}

if (process.env["TOY_EXIT"] !== undefined) {
  process.stderr.write("toy-agent: told to give up\n");
  process.exit(Number(process.env["TOY_EXIT"]));
}
const config: Config = parse(readFileSync(process.argv[3] ?? "", "utf8"));
const own = Number(config.nodeName.slice(1));
const NODES = 4;

const mac = (node: number): string => `02:aa:00:00:00:0${node}`;
const commands = [
  `link add hdvx address ${mac(own)} type vxlan id 1 dstport 4789 local 192.168.77.${own} dev eth0 nolearning`,
  "link set hdvx up",
];
for (let n = 1; n <= NODES; n++) {
  if (n === own) continue;
  commands.push(
    `neigh add 169.254.2.${n} lladdr ${mac(n)} dev hdvx nud permanent`,
    `neigh add fe80::aa:${n} lladdr ${mac(n)} dev hdvx nud permanent`,
    `route add 10.244.${n}.0/24 via 169.254.2.${n} dev hdvx onlink`,
    `route add fd10:244:0:${n}::/64 via fe80::aa:${n} dev hdvx`,
  );
}
const nft = `table inet hdtoy {
  chain post {
    type nat hook postrouting priority srcnat;
    ip saddr 10.244.0.0/16 ip daddr != { 10.244.0.0/16, 192.168.77.0/24 } masquerade
    ip6 saddr fd10:244::/48 ip6 daddr != { fd10:244::/48, fd77::/64 } masquerade
  }
}`;

// After a restart everything is there already.
if (!execFileSync("ip", ["-j", "link"], { encoding: "utf8" }).includes('"hdvx"')) {
  execFileSync("sysctl", ["-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"]);
  execFileSync("ip", ["-batch", "-"], { input: commands.join("\n") });
  for (let n = 1; n <= NODES; n++) {
    if (n !== own) execFileSync("bridge", ["fdb", "add", mac(n), "dev", "hdvx", "dst", `192.168.77.${n}`]);
  }
  execFileSync("nft", ["-f", "-"], { input: nft });
}

const status = { node: config.nodeName, dataplane: { name: config.dataplane }, store: { kind: config.store.kind } };
const [host, port] = config.rest.split(":");
createServer((request, response) => {
  response.end(request.url === "/status" ? JSON.stringify(status) : "ok");
}).listen(Number(port), host);

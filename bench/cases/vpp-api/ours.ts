// The work of one side of the comparison, by our client: reads lines of steps, prints one line of JSON each, as theirs.py
// does; and `pipelined N`, `remove N`, `loopback` besides. ours.ts <API socket> <directory of *.api.json>
import { createInterface } from "node:readline";
import { FibPathNhProto, FibPathType, seconds, VppClient } from "../../../src/dataplane/vpp/binapi/index.ts";

const [socket = "", apiDirectory = ""] = process.argv.slice(2);
let client: VppClient | undefined;

function vpp(): VppClient {
  if (!client) throw new Error("not connected");
  return client;
}

async function connect(): Promise<number> {
  client = await VppClient.open({ socket, apiDirectory, name: "bench", signal: AbortSignal.timeout(30_000) });
  return client.codecs?.schema.messages.size ?? 0;
}

async function ping(count: number): Promise<number> {
  const api = vpp();
  for (let i = 0; i < count; i++) await api.request("control_ping", {});
  return count;
}

/** What the client's window lets VPP have at once: more would wait here. */
const AT_ONCE = 4096;

async function pipelined(count: number): Promise<number> {
  const api = vpp();
  let answered = 0;
  while (answered < count) {
    const length = Math.min(AT_ONCE, count - answered);
    const replies = await Promise.all(Array.from({ length }, () => api.request("control_ping", {})));
    answered += replies.length;
  }
  return answered;
}

const NO_RPF = 0xffff_ffff;

/** The request that theirs.py makes. */
function route(isAdd: boolean, i: number) {
  return {
    is_add: isAdd,
    is_multipath: false,
    route: {
      table_id: 0,
      stats_index: 0,
      prefix: `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}/32`,
      paths: [
        {
          sw_if_index: 1,
          table_id: 0,
          rpf_id: NO_RPF,
          weight: 1,
          preference: 0,
          type: FibPathType.FIB_API_PATH_TYPE_NORMAL,
          flags: 0,
          proto: FibPathNhProto.FIB_API_PATH_NH_PROTO_IP4,
          nh: { address: { ip4: "192.0.2.2" }, via_label: 0, obj_id: 0, classify_table_index: 0 },
          n_labels: 0,
        },
      ],
    },
  };
}

async function change(isAdd: boolean, count: number): Promise<number> {
  const api = vpp();
  const timeout = seconds(30);
  const replies = await Promise.all(
    Array.from({ length: count }, (_, i) => api.request("ip_route_add_del", route(isAdd, i), { timeout })),
  );
  return replies.filter((r) => r.retval === 0).length;
}

async function dump(): Promise<number> {
  const routes = await vpp().dump("ip_route_dump", { table: { table_id: 0, is_ip6: false } });
  return routes.filter((r) => r.route.paths.length === 1 && r.route.prefix.endsWith("/32")).length;
}

/** The interface of the routes: the first one that VPP is given. */
async function loopback(): Promise<number> {
  const api = vpp();
  const { sw_if_index } = await api.request("create_loopback_instance", {
    mac_address: "02:fe:00:00:00:01",
    is_specified: false,
    user_instance: 0,
  });
  await api.request("sw_interface_add_del_address", {
    is_add: true,
    del_all: false,
    sw_if_index,
    prefix: "192.0.2.1/24",
  });
  await api.request("sw_interface_set_flags", { sw_if_index, flags: 1 });
  return sw_if_index;
}

const STEPS: Readonly<Record<string, (count: number) => Promise<number>>> = {
  connect,
  ping,
  pipelined,
  add: (n) => change(true, n),
  remove: (n) => change(false, n),
  dump,
  loopback,
};

for await (const line of createInterface({ input: process.stdin })) {
  const [name = "", count] = line.split(" ");
  const step = STEPS[name];
  if (!step) throw new Error(`no step ${name}`);
  const begin = performance.now();
  const done = await step(Number(count));
  process.stdout.write(`${JSON.stringify({ seconds: (performance.now() - begin) / 1000, count: done })}\n`);
}
await client?.close();

// Heddle's side of services-linux, in the network namespace that it is started in: `ours.ts SERVICES CHANGES`.
import { setTimeout as delay } from "node:timers/promises";
import { parseIp } from "../../../src/base/ip/address.ts";
import { nftDescriptors } from "../../../src/dataplane/linux/nftables/descriptors.ts";
import { DirectNft } from "../../../src/dataplane/linux/nftables/direct/direct.ts";
import { NftProgram } from "../../../src/dataplane/linux/nftables/nft.ts";
import { serviceBase } from "../../../src/dataplane/linux/services/base.ts";
import { renderServiceChanges, renderServices } from "../../../src/dataplane/linux/services/renderer.ts";
import { createScheduler } from "../../../src/kvscheduler/index.ts";
import { NFT_TABLE, NFT_TABLE_KEY } from "../../../src/models/nft.ts";
import { CLIENTS, type ServiceInput } from "../../../src/services/api.ts";
import { ServiceEngine } from "../../../src/services/engine.ts";
import { serviceInput } from "../../../src/services/inputs.ts";
import { changes, clusterOf, LARGE, NODE, NODE_IP, POD_CIDR, type Side, SPACING_MS, stored } from "./objects.ts";

const [services, count] = process.argv.slice(2).map(Number) as [number, number];
const direct = new DirectNft();
const scheduler = createScheduler();
for (const descriptor of nftDescriptors(new NftProgram(), undefined, direct)) scheduler.register(descriptor);
const engine = new ServiceEngine({
  node: NODE,
  podCidrs: [POD_CIDR],
  nodePortAddresses: "primary",
  nodeExternalIps: "ignore",
});
const wrong: string[] = [];
const entries = [...clusterOf({ ...LARGE, services })].map(([, object]) => stored(object));

/** As the agent's handler: what is in the store, decoded, made rows of, rendered, planned, and the kernel's last answer. */
function* read(values: Iterable<readonly [key: string, value: Uint8Array]>): Iterable<ServiceInput> {
  for (const [key, value] of values) {
    const input = serviceInput(key, value);
    if (input) yield input;
  }
}

const began = performance.now();
engine.apply([{ kind: "own-addresses", addresses: [parseIp(NODE_IP)] }, ...read(entries)]);
const rendered = [...serviceBase(CLIENTS), ...renderServices(engine.rows(), CLIENTS)];
const all = await scheduler.transact({
  changes: [[NFT_TABLE_KEY, NFT_TABLE], ...rendered.map(({ key, value }): [string, unknown] => [key, value])],
  resync: "full",
});
const empty = performance.now() - began;
for (const [key, error] of [...all.errors].slice(0, 3)) wrong.push(`${key}: ${error.message}`);

const took: number[] = [];
for (const object of changes(count)) {
  await delay(SPACING_MS);
  const value = stored(object);
  const from = performance.now();
  const touched = [...renderServiceChanges(engine.apply(read([value])), engine, CLIENTS)];
  const one = await scheduler.transact({ changes: touched.map(({ key, value: to }) => [key, to]) });
  took.push(performance.now() - from);
  if (touched.length === 0) wrong.push("a change changed nothing");
  for (const [key, error] of one.errors) wrong.push(`${key}: ${error.message}`);
}
await scheduler.close();
await direct.close();
const side: Side = { empty, changes: took, wrong };
process.stdout.write(JSON.stringify(side));

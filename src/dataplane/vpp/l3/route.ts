import { Mapped } from "../../../base/memo/mapped.ts";
import type { Dependency, Descriptor, Retrieved } from "../../../kvscheduler/api/descriptor.ts";
import { nameOfTag, TAG_PREFIX } from "../../../models/vpp/checks.ts";
import {
  routeFamily,
  VPP_ROUTE_PREFIX,
  type VppRouteValue,
  VRF_PREFIX,
  type VrfValue,
  validateRoute,
  validateVrf,
  vppRouteKey,
  vrfKey,
} from "../../../models/vpp/l3.ts";
import type { Element } from "../binapi/index.ts";
import type { ReadContext } from "../session/readings.ts";
import { INTERFACES, ifThere, NO_INDEX, type VppTarget } from "../target.ts";
import { decodePath, encodePath, pathDependencies, pathsText } from "./path.ts";

/** Tables of routes, known as ours by their names. */
export function vrfDescriptor({ api }: VppTarget): Descriptor<VrfValue, undefined> {
  const request = async (is_add: boolean, { family, id, name }: VrfValue, signal: AbortSignal) => {
    const table = { table_id: id, is_ip6: family === 6, name: `${TAG_PREFIX}${name}` };
    await api.request("ip_table_add_del", { is_add, table }, { signal });
    return undefined;
  };
  return {
    name: "vpp-vrf",
    keyPrefixes: [VRF_PREFIX],
    validate: (_key, value) => validateVrf(value),
    describe: (_key, value) => value.name,
    create: (_key, value, { signal }) => request(true, value, signal),
    async delete(_key, value, _metadata, { signal }) {
      await ifThere(() => request(false, value, signal));
    },
    async retrieve(_correlate, { signal }) {
      const found: Retrieved<VrfValue, undefined>[] = [];
      for (const { table } of await api.dump("ip_table_dump", {}, { signal })) {
        const name = nameOfTag(table.name);
        if (name === undefined) continue;
        const value: VrfValue = { family: table.is_ip6 ? 6 : 4, id: table.table_id, name };
        found.push({ key: vrfKey(value), value, metadata: undefined });
      }
      return found;
    },
  };
}

/**
 * Routes, in any table. VPP keeps who made a route: those made through its API, in its own tables and in ours, count as
 * ours; those that it makes itself (for addresses, neighbours) or that the CLI made do not.
 */
export function vppRouteDescriptor(vpp: VppTarget): Descriptor<VppRouteValue, undefined> {
  const { api } = vpp;
  const request = async (is_add: boolean, value: VppRouteValue, signal: AbortSignal) => {
    const { vrf: table_id, dst: prefix } = value;
    const family = routeFamily(value);
    const paths = is_add ? value.paths.map((path) => encodePath(vpp, path, family, table_id)) : [];
    // Not multipath: these paths instead of those that it has, or without any: the whole route goes.
    const input = { is_add, is_multipath: false, route: { table_id, prefix, stats_index: 0, paths } };
    await api.request("ip_route_add_del", input, { signal });
    return undefined;
  };
  /**
   * Whether an interface was removed beneath the route. VPP keeps the path then, and takes it for the same one as that
   * through the next interface of that number, for which it never resolves it: such routes go before there is one.
   */
  const leadsNowhere = async (paths: readonly { readonly sw_if_index: number }[], ctx: ReadContext) => {
    const there = new Set((await vpp.interfaces(ctx)).map(({ sw_if_index }) => sw_if_index));
    return paths.some(({ sw_if_index }) => sw_if_index !== NO_INDEX && !there.has(sw_if_index));
  };
  const items = new Map<string, Mapped<Dumped, Item>>();
  const itemsOf = ({ table_id, is_ip6 }: { readonly table_id: number; readonly is_ip6: boolean }) => {
    const name = `${table_id} ${is_ip6}`;
    const known = items.get(name) ?? new Mapped<Dumped, Item>();
    items.set(name, known);
    return known;
  };
  const itemOf = (route: Dumped["route"], vrf: number): Item => {
    const paths = route.paths.map((path) => decodePath(vpp, path, route.prefix)).filter((path) => path !== undefined);
    const value = { vrf, dst: route.prefix, paths };
    return { key: vppRouteKey(value), value, metadata: undefined };
  };
  /** Its interfaces have the names that they had. */
  const isStill = ({ paths }: VppRouteValue, route: Dumped["route"]): boolean =>
    paths.length === route.paths.length &&
    paths.every(
      (path, i) => vpp.nameOf(route.paths[i]!.sw_if_index) === ("interface" in path ? path.interface : undefined),
    );
  return {
    name: "vpp-route",
    keyPrefixes: [VPP_ROUTE_PREFIX],
    retrieveAfter: [INTERFACES, "vpp-vrf"],
    concurrency: 256,
    validate: (_key, value) => validateRoute(value),
    equivalent: (_key, a, b) => pathsText(a.paths) === pathsText(b.paths),
    dependencies: (_key, value) => dependencies(value),
    describe: (_key, value) => pathsText(value.paths),
    create: (_key, value, { signal }) => request(true, value, signal),
    update: (_key, _before, value, _metadata, { signal }) => request(true, value, signal),
    async delete(_key, value, _metadata, { signal }) {
      await ifThere(() => request(false, value, signal));
    },
    async retrieve(_correlate, ctx) {
      const { signal } = ctx;
      const sources = await api.dump("fib_source_dump", {}, { signal });
      const source = sources.find(({ src }) => src.name === "API")?.src.id;
      if (source === undefined) throw new Error("VPP has no FIB source named API");
      const tables = await api.dump("ip_table_dump", {}, { signal });
      const found: Item[] = [];
      for (const { table } of tables.filter(
        ({ table }) => table.table_id === 0 || nameOfTag(table.name) !== undefined,
      )) {
        const routes = await api.dump("ip_route_v2_dump", { src: source, table }, { signal });
        const items = itemsOf(table).of(routes, ({ route }, former) =>
          former && isStill(former.value, route) ? former : itemOf(route, table.table_id),
        );
        for (const [i, item] of items.entries()) {
          const paths = routes[i]?.route.paths ?? [];
          if (item.value.paths.length < paths.length && (await leadsNowhere(paths, ctx))) {
            await request(false, item.value, signal);
          } else {
            found.push(item);
          }
        }
      }
      return found;
    },
  };
}

type Dumped = Element<"ip_route_v2_dump">;
type Item = Retrieved<VppRouteValue, undefined>;

function dependencies(value: VppRouteValue): readonly Dependency[] {
  const family = routeFamily(value);
  const required = (value.requires ?? []).map((key) => ({ label: key, key }));
  const led = [...pathDependencies(value.paths, family), ...required];
  const own = { label: `vrf ${value.vrf}`, key: vrfKey({ family, id: value.vrf }) };
  return value.vrf === 0 || led.some(({ label }) => label === own.label) ? led : [own, ...led];
}

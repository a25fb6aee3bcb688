import type { Dependency, Descriptor, Retrieved } from "../../../kvscheduler/api/descriptor.ts";
import {
  PUNT_REDIRECT_PREFIX,
  type PuntPath,
  type PuntRedirectValue,
  puntPathText,
  puntRedirectKey,
  validatePuntRedirect,
} from "../../../models/vpp/punt.ts";
import { AddressFamily, type Element } from "../binapi/index.ts";
import { decodePath, encodePath } from "../l3/path.ts";
import { INTERFACES, indexOf, NO_INDEX, onInterface, type VppTarget } from "../target.ts";

type Redirect = Element<"ip_punt_redirect_v2_dump">["punt"];

const FAMILIES = { 4: AddressFamily.ADDRESS_IP4, 6: AddressFamily.ADDRESS_IP6 } as const;
const ANY = { 4: "0.0.0.0/0", 6: "::/0" } as const;

/**
 * Redirections of punted packets. VPP counts them: one that is made over another one, or removed twice, leaves it with a
 * wrong count, so that redirecting is never switched off or too early. So what is there is read before each call.
 */
export function puntRedirectDescriptor(vpp: VppTarget): Descriptor<PuntRedirectValue, undefined> {
  const { api } = vpp;
  const dump = async (family: 4 | 6, signal: AbortSignal): Promise<Redirect[]> => {
    const input = { sw_if_index: NO_INDEX, af: FAMILIES[family] };
    return (await api.dump("ip_punt_redirect_v2_dump", input, { signal })).map(({ punt }) => punt);
  };
  const remove = async (family: 4 | 6, rx_sw_if_index: number, signal: AbortSignal): Promise<void> => {
    if (!(await dump(family, signal)).some((punt) => punt.rx_sw_if_index === rx_sw_if_index)) return;
    const punt = { rx_sw_if_index, af: FAMILIES[family], paths: [] };
    await api.request("add_del_ip_punt_redirect_v2", { is_add: false, punt }, { signal });
  };
  const set = async (value: PuntRedirectValue, signal: AbortSignal): Promise<undefined> => {
    const { family, rx } = value;
    const rx_sw_if_index = rx === undefined ? NO_INDEX : indexOf(vpp, rx);
    const paths = value.paths.map(({ interface: name, nextHop: gateway }) =>
      encodePath(vpp, { type: "via", interface: name, gateway }, family, 0),
    );
    await remove(family, rx_sw_if_index, signal);
    const punt = { rx_sw_if_index, af: FAMILIES[family], paths };
    await api.request("add_del_ip_punt_redirect_v2", { is_add: true, punt }, { signal });
    return undefined;
  };
  return {
    name: "vpp-punt-redirect",
    keyPrefixes: [PUNT_REDIRECT_PREFIX],
    retrieveAfter: [INTERFACES],
    validate: (_key, value) => validatePuntRedirect(value),
    equivalent: (_key, a, b) => a.family === b.family && a.rx === b.rx && pathsText(a.paths) === pathsText(b.paths),
    dependencies: (_key, value) => dependencies(value),
    describe: (_key, value) => pathsText(value.paths),
    create: (_key, value, { signal }) => set(value, signal),
    update: (_key, _before, value, _metadata, { signal }) => set(value, signal),
    async delete(_key, { family, rx }, _metadata, { signal }) {
      const index = rx === undefined ? NO_INDEX : vpp.indexOf(rx);
      if (index !== undefined) await remove(family, index, signal);
    },
    async retrieve(_correlate, { signal }) {
      const found: Retrieved<PuntRedirectValue, undefined>[] = [];
      for (const family of [4, 6] as const) {
        for (const { rx_sw_if_index, paths } of await dump(family, signal)) {
          const rx = rx_sw_if_index === NO_INDEX ? undefined : vpp.nameOf(rx_sw_if_index);
          if (rx === undefined && rx_sw_if_index !== NO_INDEX) continue;
          const value: PuntRedirectValue = {
            family,
            ...(rx === undefined ? {} : { rx }),
            paths: paths.map((path) => decode(vpp, path, family)),
          };
          found.push({ key: puntRedirectKey(value), value, metadata: undefined });
        }
      }
      return found;
    },
  };
}

/** A path that isn't one of ours is seen to be wrong. */
function decode(vpp: VppTarget, path: Redirect["paths"][number], family: 4 | 6): PuntPath {
  const decoded = decodePath(vpp, path, ANY[family]);
  if (decoded?.type !== "via") return { interface: "#", nextHop: "" };
  return { interface: decoded.interface ?? "#", nextHop: decoded.gateway ?? "" };
}

const pathsText = (paths: readonly PuntPath[]): string => paths.map(puntPathText).sort().join(", ");

function dependencies({ rx, paths }: PuntRedirectValue): readonly Dependency[] {
  const names = new Set([...(rx === undefined ? [] : [rx]), ...paths.map((path) => path.interface)]);
  return [...names].map((name) => ({ ...onInterface(name), label: `interface ${name}` }));
}

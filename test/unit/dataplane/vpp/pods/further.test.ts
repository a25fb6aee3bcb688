import { describe, expect, it } from "vitest";
import { refusesFurther } from "../../../../../src/dataplane/vpp/pods/further.ts";
import { renderPod } from "../../../../../src/dataplane/vpp/pods/renderer.ts";
import type { FurtherInterface } from "../../../../../src/pods/api.ts";
import { podRow } from "../../../../support/pods/rows.ts";
import { byKey } from "../../../../support/vpp/rendered.ts";

const further = (number: number, kind: FurtherInterface["kind"]): FurtherInterface => ({
  ...{ name: `${kind}0`, kind, number },
  hostIf: `hd000000000000${number}`,
  mac: `02:00:00:00:01:0${number}`,
});
const rendered = (kind: FurtherInterface["kind"], netns: string) => {
  const without = byKey(renderPod(podRow({ netns }), {}));
  const items = byKey(renderPod(podRow({ netns, further: [further(7, kind)] }), {}));
  for (const key of Object.keys(without)) delete items[key];
  return items;
};
const NAME = "hd0000000000007";
const up = { [`vpp/interface-up/${NAME}`]: { interface: NAME, requires: [] } };

describe("a further interface on VPP", () => {
  it.each([
    ["/var/run/netns/blue", "blue"],
    ["/run/docker/netns/1f", "/run/docker/netns/1f"],
  ])("of kind memif listens at an abstract socket in the pod's namespace %s", (netns, where) => {
    expect(rendered("memif", netns)).toEqual({
      ...up,
      "vpp/memif-socket/7": { id: 7, filename: `abstract:heddle-memif0,netns_name=${where}` },
      [`vpp/interface/${NAME}`]: {
        ...{ kind: "memif", name: NAME, mac: "02:68:65:64:64:6c", mtu: 1450 },
        ...{ socket: 7, id: 0, role: "master", mode: "ethernet", queues: 1 },
      },
    });
  });

  it("of kind veth is a pair whose pod's end sends complete packets to VPP, which takes no offloads", () => {
    expect(rendered("veth", "/run/netns/c1")).toMatchObject({
      ...up,
      [`linux/link/${NAME}`]: {
        podSends: "complete",
        pod: { netns: "/run/netns/c1", ifName: "veth0", mac: "02:00:00:00:01:07", mtu: 1450 },
      },
      [`vpp/interface/${NAME}`]: { kind: "af-packet", device: NAME, offload: false },
    });
  });

  it("of kind tap is a device in the pod's namespace, that VPP opens without offloads", () => {
    expect(rendered("tap", "/run/netns/c1")).toMatchObject({
      ...up,
      [`linux/link/${NAME}`]: { kind: "tap", pod: { netns: "/run/netns/c1", ifName: "tap0", mtu: 1450 } },
      [`vpp/interface/${NAME}`]: {
        ...{ kind: "tap", name: NAME, mac: "02:68:65:64:64:6c", mtu: 1450, device: "tap0" },
        ...{ netns: "/run/netns/c1", hostMac: "02:00:00:00:01:07", offload: false },
      },
    });
  });

  it("of kind tap needs /dev/vhost-net", () => {
    expect(refusesFurther("tap", false)).toContain("/dev/vhost-net");
    expect(refusesFurther("tap", true)).toBeUndefined();
    for (const kind of ["memif", "veth"] as const) expect(refusesFurther(kind, false)).toBeUndefined();
  });
});

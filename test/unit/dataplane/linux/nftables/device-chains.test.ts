import { describe, expect, it } from "vitest";
import { nftDescriptors } from "../../../../../src/dataplane/linux/nftables/descriptors.ts";
import { deviceChains, encodeDeviceChains } from "../../../../../src/dataplane/linux/nftables/device-chains.ts";
import { FakeNft } from "../../../../../src/dataplane/linux/nftables/fake.ts";
import { dropChain } from "../../../../../src/dataplane/vpp/shared-device.ts";
import type { GroupOp } from "../../../../../src/kvscheduler/api/descriptor.ts";
import { createScheduler } from "../../../../../src/kvscheduler/scheduler.ts";
import { NFT_TABLE, NFT_TABLE_KEY, type NftChainValue, nftChainKey } from "../../../../../src/models/nft.ts";

const create = (value: unknown, descriptor = "nft-chain"): GroupOp =>
  ({ kind: "create", key: "k", descriptor, value }) as unknown as GroupOp;
const drop = dropChain("hda", []);

describe("chains of devices", () => {
  // strace -x -e sendmsg nft -f -  (nft 1.0.6):
  //   add chain inet hd drop_hda { type filter hook ingress device "hda" priority -500; policy drop; }
  //   flush chain inet hd drop_hda
  it("are what nft sends, with an acknowledgement of the chain", () => {
    const header = (length: string, type: string, flags: string, seq: number) =>
      `${length}000000 ${type} ${flags} 0${seq}000000 00000000`;
    const expected = [
      `${header("14", "1000", "0100", 0)} 0000000a`,
      `${header("5c", "030a", "0504", 1)} 01000000 07000100 68640000 0d000300 64726f705f68646100000000 0b000700`,
      "66696c7465720000 08000500 00000000 1c000480 08000100 00000005 08000200 fffffe0c 08000300 68646100",
      `${header("2c", "080a", "0100", 2)} 01000000 07000100 68640000 0d000200 64726f705f68646100000000`,
      `${header("14", "1100", "0100", 3)} 0000000a`,
    ];
    const encoded = encodeDeviceChains([{ name: "drop_hda", device: "hda", priority: -500 }]);
    expect(Buffer.from(encoded).toString("hex")).toBe(expected.join("").replaceAll(" ", ""));
  });

  it.each<[string, readonly GroupOp[], number | undefined]>([
    ["two that are made", [create(drop), create(dropChain("hdb", []))], 2],
    ["one that goes", [{ ...create(drop), kind: "delete" }], undefined],
    ["one with a rule", [create({ ...drop, rules: ["accept"] })], undefined],
    ["one that accepts", [create({ ...drop, hook: { ...drop.hook, policy: undefined } })], undefined],
    ["one of no device", [create({ ...drop, hook: { ...drop.hook, device: undefined } })], undefined],
    ["one of another hook", [create({ ...drop, hook: { ...drop.hook, hook: "forward" } })], undefined],
    ["a table beside it", [create(NFT_TABLE, "nft-table"), create(drop)], undefined],
  ])("are told from everything else: %s", (_what, ops, count) => {
    expect(deviceChains(ops)?.length).toBe(count);
  });

  it("are made directly, in one commit, and all else by nft", async () => {
    const nft = new FakeNft();
    const made: string[] = [];
    const scheduler = createScheduler();
    const add = async (chains: readonly { readonly device: string }[]): Promise<void> => {
      made.push(...chains.map(({ device }) => device));
    };
    for (const descriptor of nftDescriptors(nft, undefined, { add })) scheduler.register(descriptor);
    const chain = (device: string): [string, NftChainValue] => [nftChainKey(`drop_${device}`), dropChain(device, [])];
    const other: NftChainValue = { name: "other", rules: [], uses: [], jumps: [] };
    await scheduler.transact({
      changes: [
        [NFT_TABLE_KEY, NFT_TABLE],
        [nftChainKey("other"), other],
      ],
    });
    expect([nft.scripts.length, made]).toEqual([1, []]);
    await scheduler.transact({ changes: [chain("hdb"), chain("hdc")] });
    expect([nft.scripts.length, made]).toEqual([1, ["hdb", "hdc"]]);
    await scheduler.close();
  });
});

import { describe, expect, it } from "vitest";
import { FakeNft } from "../../../../src/dataplane/linux/nftables/fake.ts";
import { foreignRules } from "../../../../src/dataplane/linux/warnings.ts";

async function warnings(...lines: string[]): Promise<readonly string[]> {
  const nft = new FakeNft();
  await nft.run(`${lines.join("\n")}\n`);
  return foreignRules(nft);
}

const forward = (policy: string) => `{ type filter hook forward priority 0; policy ${policy}; }`;

describe("what others have put into nftables", () => {
  it("is named when it drops what it forwards", async () => {
    const lines = ["add table ip filter", `add chain ip filter FORWARD ${forward("drop")}`];
    expect(await warnings(...lines)).toEqual([
      "nftables: chain FORWARD of table ip filter drops what it does not know; let the pod networks pass there",
    ]);
  });

  it("is named when it drops what comes in, tunnels among it", async () => {
    const chain = "add chain ip filter INPUT { type filter hook input priority 0; policy drop; }";
    expect(await warnings("add table ip filter", chain)).toEqual([
      "nftables: chain INPUT of table ip filter drops what it does not know; " +
        "let the overlay's UDP port pass there, and whatever pods need of their node",
    ]);
  });

  it.each(["drop", "counter drop", "reject with icmpx admin-prohibited"])(
    "is named when it lets pass by policy and ends with: %s",
    async (last) => {
      const lines = [
        "add table inet firewalld",
        `add chain inet firewalld fwd ${forward("accept")}`,
        "add rule inet firewalld fwd ct state established accept",
        `add rule inet firewalld fwd ${last}`,
      ];
      expect(await warnings(...lines)).toEqual([
        "nftables: chain fwd of table inet firewalld drops what it does not know; let the pod networks pass there",
      ]);
    },
  );

  it.each([
    [["add table ip nat", "add chain ip nat KUBE-SERVICES"], "ip nat (chain KUBE-SERVICES)"],
    [["add table ip6 kube-proxy", "add chain ip6 kube-proxy services"], "ip6 kube-proxy (chain services)"],
  ])("is named when it is a kube-proxy: %j", async (lines, expected) => {
    expect(await warnings(...lines)).toEqual([
      `nftables: a kube-proxy has rules in table ${expected}; it translates services beside Heddle`,
    ]);
  });

  it.each([
    ["a chain that lets pass", ["add table ip filter", `add chain ip filter FORWARD ${forward("accept")}`]],
    [
      "a chain that drops what goes out",
      ["add table ip filter", "add chain ip filter OUTPUT { type filter hook output priority 0; policy drop; }"],
    ],
    [
      "a chain that drops something",
      [
        "add table inet firewalld",
        `add chain inet firewalld fwd ${forward("accept")}`,
        "add rule inet firewalld fwd ct state invalid drop",
        "add rule inet firewalld fwd iifname eth9 counter reject",
      ],
    ],
    ["our own table", ["add table inet hd", `add chain inet hd forward ${forward("drop")}`]],
    ["a chain of another's that is called services", ["add table ip mine", "add chain ip mine services"]],
    ["nothing", []],
  ])("is no reason to warn: %s", async (_what, lines) => {
    expect(await warnings(...lines)).toEqual([]);
  });
});

import { describe, expect, it } from "vitest";
import { legacyRules } from "../../../../src/dataplane/linux/legacy-tables.ts";

const found = (text: string | undefined, names = ["filter"]) =>
  legacyRules({
    names: (family) => Promise.resolve(family === 4 ? names : []),
    save: () => Promise.resolve(text),
  });

const HARM = "drops what it does not know";

describe("what others have put into the kernel's older tables", () => {
  it("is nothing where no such table is in use, and nobody is asked", async () => {
    expect(await found("*filter\n:FORWARD DROP [0:0]\nCOMMIT\n", [])).toEqual([]);
  });

  it.each([
    ["a policy", ":FORWARD DROP [3:180]", `chain FORWARD of table filter ${HARM}; let the pod networks pass there`],
    ["a rule without condition", "-A FORWARD -j DROP", `chain FORWARD of table filter ${HARM}; let the pod networks`],
    [
      "a refusal",
      "-A INPUT -j REJECT --reject-with icmp-port-unreachable",
      `chain INPUT of table filter ${HARM}; let the overlay`,
    ],
    ["a kube-proxy", ":KUBE-SERVICES - [0:0]", "a kube-proxy has rules in table filter (chain KUBE-SERVICES)"],
  ])("is named: %s", async (_what, line, words) => {
    expect(await found(`*filter\n:OUTPUT DROP [0:0]\n${line}\nCOMMIT\n`)).toEqual([
      expect.stringContaining(`iptables-legacy: ${words}`),
    ]);
  });

  it.each(["-A FORWARD -s 192.0.2.0/24 -j DROP", "-A FORWARD -j ACCEPT", ":FORWARD ACCEPT [0:0]", "-A DOCKER -j DROP"])(
    "is no reason to warn: %s",
    async (line) => {
      expect(await found(`*filter\n${line}\nCOMMIT\n`)).toEqual([]);
    },
  );

  it("is told to be unknown where there is no program to ask", async () => {
    expect(await found(undefined, ["filter", "nat"])).toEqual([
      "iptables-legacy: the tables filter, nat are in use; what they drop is not known, as there is no iptables-legacy-save",
    ]);
  });
});

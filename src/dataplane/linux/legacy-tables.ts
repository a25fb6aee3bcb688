import { spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import { dropsUnknown } from "./warnings.ts";

/** The kernel's older tables, which nftables does not show, in the network namespace of this process. */
export interface LegacyTables {
  /** Tables that are in use: any rule or policy ever set makes one. */
  names(family: 4 | 6): Promise<readonly string[]>;
  /** All of them as `iptables-save` writes them; undefined when there is no program to ask. */
  save(family: 4 | 6): Promise<string | undefined>;
}

/** The same as `foreignRules` of nftables finds, in what iptables-legacy has written. */
export async function legacyRules(tables: LegacyTables): Promise<readonly string[]> {
  return (await Promise.all(([4, 6] as const).map((family) => rulesOf(tables, family)))).flat();
}

async function rulesOf(tables: LegacyTables, family: 4 | 6): Promise<readonly string[]> {
  const names = await tables.names(family);
  if (names.length === 0) return [];
  const program = family === 4 ? "iptables-legacy" : "ip6tables-legacy";
  const text = await tables.save(family);
  if (text === undefined) {
    return [
      `${program}: the tables ${names.join(", ")} are in use; what they drop is not known, as there is no ${program}-save`,
    ];
  }
  return [...problems(text)].map((problem) => `${program}: ${problem}`);
}

/**
 * ```
 * *filter
 * :FORWARD DROP [0:0]
 * -A INPUT -j REJECT --reject-with icmp-port-unreachable
 * COMMIT
 * ```
 */
function problems(text: string): ReadonlySet<string> {
  const found = new Set<string>();
  let table = "";
  for (const line of text.split("\n")) {
    if (line.startsWith("*")) table = line.slice(1);
    const [, byPolicy, byRule] = /^(?::(\S+) DROP\b|-A (\S+) -j (?:DROP|REJECT)\b)/.exec(line) ?? [];
    const chain = byPolicy ?? byRule;
    if (chain === "FORWARD" || chain === "INPUT") {
      found.add(dropsUnknown(`chain ${chain} of table ${table}`, chain.toLowerCase()));
    }
    if (line.startsWith(":KUBE-SERVICES ")) {
      found.add(`a kube-proxy has rules in table ${table} (chain KUBE-SERVICES); it translates services beside Heddle`);
    }
  }
  return found;
}

/** The kernel's, through /proc and the program `iptables-legacy-save`. */
export const kernelLegacyTables: LegacyTables = {
  async names(family) {
    try {
      const text = await readFile(`/proc/net/${family === 4 ? "ip" : "ip6"}_tables_names`, "utf8");
      return text.split("\n").filter((name) => name !== "");
    } catch {
      return []; // a kernel without them
    }
  },
  save: (family) =>
    new Promise((resolve) => {
      const child = spawn(family === 4 ? "iptables-legacy-save" : "ip6tables-legacy-save", [], {
        stdio: ["ignore", "pipe", "ignore"],
      });
      const out: Buffer[] = [];
      child.stdout.on("data", (chunk: Buffer) => out.push(chunk));
      child.once("error", () => resolve(undefined));
      child.once("close", (code) => resolve(code === 0 ? Buffer.concat(out).toString() : undefined));
    }),
};

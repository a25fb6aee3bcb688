import { NFT_TABLE } from "../../models/nft.ts";
import type { Nft, NftJsonObject } from "./nftables/nft.ts";

/** Hooks at which a drop harms: what pods exchange is forwarded; tunnels, and what pods ask of their node, come in. */
const HARMED: Readonly<Record<string, string>> = {
  forward: "let the pod networks pass there",
  input: "let the overlay's UDP port pass there, and whatever pods need of their node",
};

/** What is wrong with a chain at one of the {@link HARMED} hooks that drops, in words. */
export const dropsUnknown = (chain: string, hook: string): string =>
  `${chain} drops what it does not know; ${HARMED[hook] ?? ""}`;

/**
 * What others have put into nftables that harms pods: chains that drop what they forward or take in, by policy or by a last
 * rule without a condition (as firewalld's are), and a kube-proxy that is still running beside us. For status; nothing is
 * changed.
 */
export async function foreignRules(nft: Nft): Promise<readonly string[]> {
  const chains = (await nft.chains()).flatMap(({ chain }) => (chain ? [chain] : []));
  const others = chains.filter((chain) => tableOf(chain) !== `inet ${NFT_TABLE}`);
  return (await Promise.all(others.map((chain) => warningOf(nft, chain)))).flat();
}

type Chain = Readonly<Record<string, unknown>>;

const tableOf = (chain: Chain): string => `${String(chain["family"])} ${String(chain["table"])}`;

async function warningOf(nft: Nft, chain: Chain): Promise<readonly string[]> {
  const table = tableOf(chain);
  const [name, hook] = [String(chain["name"]), String(chain["hook"])];
  if (HARMED[hook] !== undefined && (await drops(nft, chain))) {
    return [`nftables: ${dropsUnknown(`chain ${name} of table ${table}`, hook)}`];
  }
  if (name === "KUBE-SERVICES" || (table.endsWith(" kube-proxy") && name === "services")) {
    return [`nftables: a kube-proxy has rules in table ${table} (chain ${name}); it translates services beside Heddle`];
  }
  return [];
}

async function drops(nft: Nft, chain: Chain): Promise<boolean> {
  if (chain["policy"] === "drop") return true;
  const rules = await nft.rules(String(chain["family"]), String(chain["table"]), String(chain["name"]));
  return rules.some(isUnconditionalDrop);
}

/** `{ "rule": { "expr": [{ "counter": {…} }, { "reject": {…} }] } }` */
function isUnconditionalDrop({ rule }: NftJsonObject): boolean {
  const statements = (rule?.["expr"] ?? []) as readonly Readonly<Record<string, unknown>>[];
  const kinds = statements.flatMap((statement) => Object.keys(statement));
  const last = statements.at(-1);
  return (
    last !== undefined &&
    kinds.slice(0, -1).every((kind) => kind === "counter" || kind === "log") &&
    ("drop" in last || "reject" in last || isRejectTarget(last["xt"]))
  );
}

/** REJECT as iptables-nft writes it: `{ "xt": { "type": "target", "name": "REJECT" } }` */
function isRejectTarget(xt: unknown): boolean {
  return typeof xt === "object" && xt !== null && "name" in xt && xt.name === "REJECT";
}

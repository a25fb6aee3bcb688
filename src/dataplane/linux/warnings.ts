import { NFT_TABLE } from "../../models/nft.ts";
import type { Nft, NftJsonObject } from "./nftables/nft.ts";

/**
 * What others have put into nftables that harms pods: chains that drop what they forward, and a kube-proxy that is still
 * running beside us. For status; nothing is changed.
 */
export async function foreignRules(nft: Nft): Promise<readonly string[]> {
  const objects = await nft.chains();
  return objects.flatMap((object) => warningOf(object) ?? []);
}

function warningOf({ chain }: NftJsonObject): string | undefined {
  if (!chain) return undefined;
  const table = `${String(chain["family"])} ${String(chain["table"])}`;
  const name = String(chain["name"]);
  if (table === `inet ${NFT_TABLE}`) return undefined;
  if (chain["hook"] === "forward" && chain["policy"] === "drop") {
    return `nftables: chain ${name} of table ${table} drops what it does not know; let the pod networks pass there`;
  }
  if (name === "KUBE-SERVICES" || (table.endsWith(" kube-proxy") && name === "services")) {
    return `nftables: a kube-proxy has rules in table ${table} (chain ${name}); it translates services beside Heddle`;
  }
  return undefined;
}

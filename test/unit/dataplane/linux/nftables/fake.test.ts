import { FakeNft } from "../../../../../src/dataplane/linux/nftables/fake.ts";
import { nftCompliance } from "../../../../support/nft-compliance.ts";

nftCompliance("FakeNft", () => new FakeNft());

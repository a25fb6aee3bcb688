import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { EmbeddedStore } from "../../../src/stores/embedded/embedded-store.ts";
import { storeCompliance } from "../../support/store-compliance.ts";

storeCompliance(
  "EmbeddedStore with a file",
  async () => {
    const dir = mkdtempSync(join(tmpdir(), "hdembedded-"));
    const store = await EmbeddedStore.open({ dir });
    return {
      open: () => Promise.resolve(store.view()),
      forgetHistory: () => Promise.resolve(),
      close: async () => {
        await store.close();
        rmSync(dir, { recursive: true });
      },
    };
  },
  { remote: false },
);

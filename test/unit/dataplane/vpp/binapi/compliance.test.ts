import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { VppClient } from "../../../../../src/dataplane/vpp/binapi/index.ts";
import { skipNote, testSchema, VPP_API_DIRECTORY } from "../../../../support/vpp/api-files.ts";
import { vppCompliance } from "../../../../support/vpp/compliance.ts";
import { FakeVpp } from "../../../../support/vpp/fake-vpp.ts";
import { modelVpp } from "../../../../support/vpp/vpp-model.ts";

vppCompliance(`VPP's API, answered by the fake${skipNote}`, VPP_API_DIRECTORY === undefined, async () => {
  const directory = mkdtempSync(join(tmpdir(), "hd-vpp-"));
  const socket = join(directory, "api.sock");
  const fake = await FakeVpp.listen(socket, { schema: await testSchema() });
  modelVpp(fake);
  const client = await VppClient.open({ socket, apiDirectory: VPP_API_DIRECTORY ?? "" });
  return {
    client,
    async close() {
      await client.close();
      await fake.stop();
      rmSync(directory, { recursive: true, force: true });
    },
  };
});

import { describe, expect, it } from "vitest";
import { skipNote, VPP_API_DIRECTORY } from "../../../../support/vpp/api-files.ts";
import { FakeSession } from "../../../../support/vpp/fake-session.ts";
import { Recorder, replay } from "../../../../support/vpp/recording.ts";
import { basics, basicsRecording } from "../../../../support/vpp/recordings/basics.ts";
import { modelVpp } from "../../../../support/vpp/vpp-model.ts";

describe.skipIf(VPP_API_DIRECTORY === undefined)(`recording of a VPP${skipNote}`, () => {
  it("is answered from as the VPP answered", async () => {
    const recorder = new Recorder();
    let text: string;
    const table = { table_id: 3, is_ip6: false, name: "three" };
    {
      await using session = await FakeSession.start();
      modelVpp(session.vpp);
      const vpp = await session.connect({ tap: recorder.tap });
      await vpp.dump("ip_table_dump", {});
      await vpp.request("ip_table_add_del", { table });
      await vpp.dump("ip_table_dump", {});
      await vpp.request("delete_loopback", { sw_if_index: 99 }).catch(() => {});
      if (!vpp.codecs) throw new Error("no codecs");
      text = recorder.text(vpp.codecs, "the model");
    }
    expect(text).toMatch(/^# the model\n> control_ping_51077d14 [0-9a-f]{20}\n/);
    await using session = await FakeSession.start();
    replay(session.vpp, text);
    const vpp = await session.connect();
    expect((await vpp.dump("ip_table_dump", {})).map((t) => t.table.table_id)).toEqual([0, 0]);
    await vpp.request("ip_table_add_del", { table });
    for (const _ of ["the second time", "ever after"]) {
      expect((await vpp.dump("ip_table_dump", {})).map((t) => t.table.table_id)).toEqual([0, 0, 3]);
    }
    await expect(vpp.request("delete_loopback", { sw_if_index: 99 })).rejects.toMatchObject({
      code: "INVALID_SW_IF_INDEX",
    });
    await expect(vpp.request("delete_loopback", { sw_if_index: 98 })).rejects.toMatchObject({ code: "UNIMPLEMENTED" });
  });

  it("stands in for a real one", async () => {
    await using session = await FakeSession.start();
    replay(session.vpp, basicsRecording());
    await basics(await session.connect());
  });

  it("of another release is refused by name", async () => {
    await using session = await FakeSession.start();
    expect(() => replay(session.vpp, "> control_ping_00000001 00\n")).toThrow("control_ping with CRC 00000001");
    expect(() => replay(session.vpp, "nonsense\n")).toThrow("no line of a recording");
  });
});

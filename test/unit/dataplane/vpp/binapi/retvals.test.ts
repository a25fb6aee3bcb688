import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { NAMED_REQUESTS } from "../../../../../src/dataplane/vpp/binapi/gen/names.ts";
import type { VppClient } from "../../../../../src/dataplane/vpp/binapi/index.ts";
import { retvalName, retvalOf } from "../../../../../src/dataplane/vpp/binapi/retval.ts";
import type { ApiSchema } from "../../../../../src/dataplane/vpp/binapi/schema/model.ts";
import { skipNote, testSchema, VPP_API_DIRECTORY } from "../../../../support/vpp/api-files.ts";
import { FakeSession } from "../../../../support/vpp/fake-session.ts";
import { zeroMessage } from "../../../../support/vpp/values.ts";

const NAMED = Object.values(NAMED_REQUESTS).flat();

describe.skipIf(VPP_API_DIRECTORY === undefined)(`VPP's refusal${skipNote}`, () => {
  let session: FakeSession;
  let vpp: VppClient;
  let schema: ApiSchema;
  beforeAll(async () => {
    schema = await testSchema();
    session = await FakeSession.start();
    vpp = await session.connect();
  });
  afterAll(() => session?.[Symbol.asyncDispose]());

  /** The named requests that are answered once, by a reply with a retval. */
  const refusable = (): string[] =>
    NAMED.filter((name) => {
      const service = schema.services.get(name);
      const reply = service?.reply === undefined ? undefined : schema.messages.get(service.reply);
      return service?.stream !== true && reply?.fields.some((f) => f.name === "retval") === true;
    });

  it("is an error with VPP's name for it, of every request that we send", async () => {
    const refused = refusable().filter((name) => name !== "control_ping");
    expect(refused.length).toBeGreaterThan(100);
    for (const [i, name] of refused.entries()) {
      // All numbers in turn, those that this build has no name for among them.
      const retval = -1 - (i % 200);
      session.vpp.handle(name, () => retval);
      const error = await vpp.requestAny(name, zeroMessage(schema, name)).then(
        () => undefined,
        (e: unknown) => e,
      );
      const code = retvalName(retval) ?? "UNKNOWN_RETVAL";
      expect(error, name).toMatchObject({ name: "VppApiError", code, retval, request: name });
    }
    await vpp.request("control_ping", {});
  });

  it("has a message that names the request, the number and VPP's words", async () => {
    session.vpp.handle("ip_table_add_del", () => retvalOf("NO_SUCH_FIB"));
    await expect(vpp.requestAny("ip_table_add_del", zeroMessage(schema, "ip_table_add_del"))).rejects.toThrow(
      "ip_table_add_del: VPP answered -3 (NO_SUCH_FIB: No such FIB / VRF)",
    );
  });
});

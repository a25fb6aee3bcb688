import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { millis } from "../../../src/base/clock/clock.ts";
import { VppClient, type VppClientOptions } from "../../../src/dataplane/vpp/binapi/index.ts";
import { testSchema, VPP_API_DIRECTORY } from "./api-files.ts";
import { FakeVpp, type FakeVppOptions } from "./fake-vpp.ts";

/** A fake VPP on a socket of its own, with the clients made for it. */
export class FakeSession implements AsyncDisposable {
  readonly socket: string;
  readonly vpp: FakeVpp;
  /** What the clients' `onError` heard. */
  readonly errors: string[] = [];
  readonly #directory: string;
  readonly #clients: VppClient[] = [];

  private constructor(directory: string, socket: string, vpp: FakeVpp) {
    this.#directory = directory;
    this.socket = socket;
    this.vpp = vpp;
  }

  static async start(options: Partial<FakeVppOptions> = {}): Promise<FakeSession> {
    const directory = mkdtempSync(join(tmpdir(), "hd-vpp-"));
    const socket = join(directory, "api.sock");
    const vpp = await FakeVpp.listen(socket, { schema: await testSchema(), ...options });
    return new FakeSession(directory, socket, vpp);
  }

  /** A client that connects in the background, and soon again. */
  client(options: Partial<VppClientOptions> = {}): VppClient {
    const client = VppClient.start({
      socket: this.socket,
      apiDirectory: VPP_API_DIRECTORY ?? "",
      backoff: { first: millis(1), max: millis(5) },
      onError: (e, what) => this.errors.push(`${what}: ${e.message}`),
      ...options,
    });
    this.#clients.push(client);
    return client;
  }

  /** A client that is connected. */
  async connect(options: Partial<VppClientOptions> = {}): Promise<VppClient> {
    const client = this.client(options);
    await client.ready();
    return client;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#clients.map((c) => c.close()));
    await this.vpp.stop();
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { AgentNode, whyNoNetns } from "../../support/agent-node.ts";
import { makeCertificates, noEtcd, startEtcd, type TestCertificates, type TestEtcd } from "../../support/etcd.ts";
import { until } from "../../support/until.ts";

const why = whyNoNetns() ?? noEtcd;

describe.skipIf(why !== undefined)(
  `an agent whose etcd wants TLS and a password${why ? ` (skipped: ${why})` : ""}`,
  () => {
    let dir = "";
    let files: TestCertificates;
    let node: AgentNode;
    let etcd: TestEtcd;
    const passwordFile = () => join(dir, "password");

    /** `etcdctl` as root, beside the agent. */
    const etcdctl = (...words: readonly string[]) =>
      node.exec(
        ...["env", "ETCDCTL_API=3", "etcdctl", "--endpoints", etcd.endpoint, "--cacert", files.ca],
        ...["--cert", files.clientCert, "--key", files.clientKey, "--user", "root:rootpw", ...words],
      );

    beforeAll(async () => {
      dir = mkdtempSync(join(tmpdir(), "hd-secured-"));
      files = makeCertificates(dir, "agent");
      writeFileSync(passwordFile(), "guess\n");
      const { ca, clientCert: cert, clientKey: key } = files;
      const store = {
        kind: "etcd",
        endpoints: ["https://127.0.0.1:2379"],
        tls: { ca, cert, key },
        auth: { username: "agent", passwordFile: passwordFile() },
      };
      node = await AgentNode.prepare({ config: { store } });
      await node.exec("ip", "link", "set", "lo", "up");
      etcd = await startEtcd({ netns: node.netns, tls: files, clientPort: 2379 });
      for (const words of [
        "user add root:rootpw",
        "role add root",
        "user grant-role root root",
        "role add heddle",
        "role grant-permission heddle --prefix=true readwrite /heddle/",
        "user add agent:agentpw",
        "user grant-role agent heddle",
        "auth enable",
      ]) {
        await etcdctl(...words.split(" "));
      }
    });

    afterAll(async () => {
      await node?.close();
      await etcd?.close();
      rmSync(dir, { recursive: true, force: true });
    });

    it("names what was refused, and comes up once the password is right", async () => {
      const logFile = join(node.dir, "agent.log");
      const refused = /authentication failed, invalid user ID or password[^\n]*cannot claim a node ID yet/;
      const told = until(
        "the agent says why it waits",
        () => existsSync(logFile) && refused.test(readFileSync(logFile, "utf8")),
        15_000,
      );
      await Promise.all([node.startAgent(), told.then(() => writeFileSync(passwordFile(), "agentpw\n"))]);
      await until(
        "the agent is published",
        async () => (await etcdctl("get", "--prefix", "/heddle/nodes/info/")) !== "",
      );
      expect(await etcdctl("get", "--print-value-only", "/heddle/nodes/ids/1")).toContain('"name":"n1"');
      await node.removePod(await node.wiredPod());
    });
  },
);

import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Etcd3 } from "etcd3";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { millis } from "../../../src/base/clock/clock.ts";
import { EtcdStore, type EtcdStoreOptions } from "../../../src/stores/etcd/etcd-store.ts";
import { makeCertificates, noEtcd, startEtcd, type TestCertificates, type TestEtcd } from "../../support/etcd.ts";
import { bytes, storeError, text } from "../../support/store-compliance/calls.ts";
import { until } from "../../support/until.ts";
import { WatchLog } from "../../support/watch-log.ts";

const because = noEtcd === undefined ? "" : ` (skipped: ${noEtcd})`;

describe.skipIf(noEtcd)(`EtcdStore over TLS${because}`, () => {
  let dir: string;
  let files: TestCertificates;
  let etcd: TestEtcd;
  beforeAll(async () => {
    dir = mkdtempSync(join(tmpdir(), "hdtls-"));
    files = makeCertificates(dir);
    etcd = await startEtcd({ tls: files });
  });
  afterAll(async () => {
    await etcd?.close();
    rmSync(dir, { recursive: true });
  });
  const open = (tls: EtcdStoreOptions["tls"]) =>
    EtcdStore.open({ endpoints: [etcd.endpoint], tls, requestTimeout: millis(3000) });

  it("works with a client certificate", async () => {
    await using store = await open({ ca: files.ca, cert: files.clientCert, key: files.clientKey });
    await store.put("/t/a", bytes("1"));
    await using watch = store.snapshotAndWatch("/t/");
    const log = new WatchLog(watch);
    await log.reaches({ "/t/a": "1" });
    await store.put("/t/a", bytes("2"));
    await log.reaches({ "/t/a": "2" });
  });

  it("says that a certificate was refused: the server's, or ours", async () => {
    const other = mkdtempSync(join(tmpdir(), "hdtls-"));
    try {
      const foreign = makeCertificates(other);
      await using distrusting = await open({ ca: foreign.ca, cert: files.clientCert, key: files.clientKey });
      await storeError(distrusting.get("/t/a"), "UNAUTHENTICATED");
      await using distrusted = await open({ ca: files.ca, cert: foreign.clientCert, key: foreign.clientKey });
      await storeError(distrusted.get("/t/a"), "UNAUTHENTICATED");
      await using without = await open({ ca: files.ca });
      await storeError(without.get("/t/a"), "UNAUTHENTICATED");
    } finally {
      rmSync(other, { recursive: true });
    }
  });

  it("takes up a certificate that was replaced, without being opened again", async () => {
    const other = mkdtempSync(join(tmpdir(), "hdtls-"));
    try {
      const ca = join(other, "ca.crt");
      writeFileSync(ca, "not a certificate");
      await using store = await open({ ca, cert: files.clientCert, key: files.clientKey });
      await storeError(store.get("/t/a"), "UNAUTHENTICATED");
      copyFileSync(files.ca, ca);
      await until("the store answers", () =>
        store.ping().then(
          () => true,
          () => false,
        ),
      );
    } finally {
      rmSync(other, { recursive: true });
    }
  });

  it("names the file that can't be read", async () => {
    const e = await storeError(open({ ca: join(dir, "none.crt") }), "UNAUTHENTICATED");
    expect(e.message).toContain("none.crt");
  });
});

describe.skipIf(noEtcd)(`EtcdStore with user and password${because}`, () => {
  let dir: string;
  let etcd: TestEtcd;
  const secret = (name: string, password: string) => {
    const path = join(dir, name);
    writeFileSync(path, `${password}\n`);
    return path;
  };
  const open = (username: string, passwordFile: string) =>
    EtcdStore.open({
      endpoints: [etcd.endpoint],
      auth: { username, passwordFile },
      requestTimeout: millis(3000),
      heartbeat: millis(300),
    });
  beforeAll(async () => {
    dir = mkdtempSync(join(tmpdir(), "hdauth-"));
    etcd = await startEtcd();
    const raw = new Etcd3({ hosts: etcd.endpoint });
    await raw.role("root").create();
    await (await raw.user("root").create("rootpw")).addRole("root");
    await raw.role("heddle").create();
    const perm = { permType: "Readwrite", key: Buffer.from("/heddle/"), range_end: Buffer.from("/heddle0") } as const;
    await raw.auth.roleGrantPermission({ name: "heddle", perm });
    await (await raw.user("agent").create("agentpw")).addRole("heddle");
    await raw.auth.authEnable();
    raw.close();
  });
  afterAll(async () => {
    await etcd?.close();
    rmSync(dir, { recursive: true });
  });

  it("works within what the user may, also after its token has expired", async () => {
    await using store = await open("agent", secret("agent", "agentpw"));
    await store.ping();
    await store.put("/heddle/a", bytes("1"));
    await using watch = store.snapshotAndWatch("/heddle/");
    const log = new WatchLog(watch);
    await log.reaches({ "/heddle/a": "1" });
    // A restart forgets all tokens, as five idle minutes do.
    await etcd.kill();
    await etcd.start();
    await until("the store answers", () =>
      store.put("/heddle/a", bytes("2")).then(
        () => true,
        () => false,
      ),
    );
    await log.reaches({ "/heddle/a": "2" });
    expect(log.snapshots).toHaveLength(1);
    expect(text((await store.get("/heddle/a"))?.value)).toBe("2");
    await storeError(store.get("/other"), "UNAUTHENTICATED");
  });

  it("says that a password, or none, was refused", async () => {
    await using wrong = await open("agent", secret("wrong", "guess"));
    await storeError(wrong.get("/heddle/a"), "UNAUTHENTICATED");
    await using none = await EtcdStore.open({ endpoints: [etcd.endpoint] });
    await storeError(none.get("/heddle/a"), "UNAUTHENTICATED");
  });

  it("takes up a password that was corrected", async () => {
    const file = secret("late", "guess");
    await using store = await open("agent", file);
    await storeError(store.get("/heddle/a"), "UNAUTHENTICATED");
    secret("late", "agentpw");
    await store.get("/heddle/a");
  });
});

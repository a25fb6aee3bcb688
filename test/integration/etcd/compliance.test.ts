import { Etcd3 } from "etcd3";
import { millis } from "../../../src/base/clock/clock.ts";
import { EtcdStore } from "../../../src/stores/etcd/etcd-store.ts";
import { noEtcd, startEtcd } from "../../support/etcd.ts";
import { storeCompliance, TEST_HEARTBEAT_MS, TEST_REQUEST_TIMEOUT_MS } from "../../support/store-compliance.ts";
import { TcpProxy } from "../../support/tcp-proxy.ts";

storeCompliance(
  "EtcdStore",
  async () => {
    const etcd = await startEtcd();
    const connect = (endpoint: string) =>
      EtcdStore.open({
        endpoints: [endpoint],
        requestTimeout: millis(TEST_REQUEST_TIMEOUT_MS),
        heartbeat: millis(TEST_HEARTBEAT_MS),
      });
    return {
      open: () => connect(etcd.endpoint),
      forgetHistory: async () => {
        const raw = new Etcd3({ hosts: etcd.endpoint });
        const { header } = await raw.kv.range({ key: Buffer.from("/") });
        await raw.kv.compact({ revision: header.revision, physical: true });
        raw.close();
      },
      close: () => etcd.close(),
      remote: {
        proxy: () => TcpProxy.start({ port: etcd.clientPort }),
        openVia: (proxy) => connect(`http://127.0.0.1:${proxy.port}`),
        kill: () => etcd.kill(),
        start: () => etcd.start(),
        wipe: () => Promise.resolve(etcd.wipe()),
      },
    };
  },
  { remote: true, skip: noEtcd },
);

import { defineConfig } from "vitest/config";
import { BaseSequencer, type TestSpecification } from "vitest/node";

/** Real processes on a shared machine miss a deadline now and then; scripts/test-report.ts names who did. */
const RETRY = 1;

/** What promises times, storms, or measures real traffic: it must not compete for the two cores of a small CI machine. */
const TIMED = [
  "test/integration/netns/cni-storm.test.ts",
  "test/integration/policy/one-node.test.ts",
  "test/integration/restart/{healing,storm,store,traffic}.test.ts",
  "test/integration/vpp-lab/{healing,hostile-frames,restart,storm}.test.ts",
];

/** Files that take minutes: begun first, or one of them would run alone in the end. */
const LONG = [
  "policy/catalogue",
  "restart/fault-points",
  "policy/faults",
  "ksr/kube-apiserver",
  "netns/demo",
  "services/rolling",
  "vpp-lab/",
];

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification): number => {
      const at = LONG.findIndex((part) => moduleId.includes(`/integration/${part}`));
      return at < 0 ? LONG.length : at;
    };
    return (await super.sort(files)).toSorted((a, b) => rank(a) - rank(b));
  }
}

// Unit and property tests share one process per worker (100 files: 3 s instead of 27 s); whatever touches the kernel,
// etcd or child processes gets a fork of its own. They mostly wait, so two files run side by side; then the timed ones, alone.
export default defineConfig({
  test: {
    sequence: { sequencer: LongestFirst },
    projects: [
      {
        test: {
          name: "unit",
          include: ["test/unit/**/*.test.ts", "test/property/**/*.test.ts", "test/scenario/**/*.test.ts"],
          pool: "forks",
          isolate: false,
          testTimeout: 30_000,
        },
      },
      {
        test: {
          name: "integration",
          include: ["test/integration/**/*.test.ts"],
          exclude: TIMED,
          pool: "forks",
          isolate: true,
          maxWorkers: 2,
          testTimeout: 120_000,
          hookTimeout: 120_000,
          retry: RETRY,
        },
      },
      {
        test: {
          name: "timed",
          include: TIMED,
          pool: "forks",
          isolate: true,
          fileParallelism: false,
          testTimeout: 120_000,
          hookTimeout: 120_000,
          retry: RETRY,
        },
      },
    ],
  },
});

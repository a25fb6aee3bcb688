import { defineConfig } from "vitest/config";

// Unit and property tests share one process per worker (100 files: 3 s instead of 27 s); whatever touches the kernel,
// etcd or child processes gets a fork of its own and runs one file at a time, because a test that measures a real
// namespace must not compete with another one for the two cores of a small CI machine.
export default defineConfig({
  test: {
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
          pool: "forks",
          isolate: true,
          fileParallelism: false,
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
    ],
  },
});

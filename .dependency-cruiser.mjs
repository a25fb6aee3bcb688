// Who may import whom. Prose and reasons: docs/guide/architecture.md.
const features = "^src/(nodes|ipam|pods|policy|services|egress)/";

export default {
  forbidden: [
    {
      name: "no-cycles",
      comment: "Types may name each other; modules may not need each other to load.",
      severity: "error",
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ["type-only"] } },
    },
    { name: "base-alone", severity: "error", from: { path: "^src/base/" }, to: { path: "^(src/(?!base/)|cmd/)" } },
    {
      name: "kvscheduler-base-only",
      comment: "It is a library of its own: it loads no etcd, gRPC or protobuf.",
      severity: "error",
      from: { path: "^src/kvscheduler/" },
      to: { path: "^(src/(?!base/|kvscheduler/)|cmd/)" },
    },
    {
      name: "kvscheduler-no-packages",
      severity: "error",
      from: { path: "^src/kvscheduler/" },
      to: { dependencyTypes: ["npm"] },
    },
    {
      name: "infra-below-all",
      severity: "error",
      from: { path: "^src/infra/" },
      to: { path: "^(src/(?!base/|infra/)|cmd/)" },
    },
    {
      name: "stores-below-features",
      severity: "error",
      from: { path: "^src/stores/" },
      to: { path: "^(src/(?!base/|infra/|stores/)|cmd/)" },
    },
    {
      name: "etcd3-in-one-folder",
      severity: "error",
      from: { pathNot: "^src/stores/etcd/" },
      to: { path: "node_modules/etcd3/" },
    },
    {
      name: "kubernetes-client-in-one-folder",
      comment: "It takes 70 MB and half a second to load.",
      severity: "error",
      from: { pathNot: "^src/ksr/kube/" },
      to: { path: "node_modules/@kubernetes/" },
    },
    {
      name: "ksr-below-its-process",
      severity: "error",
      from: { path: "^src/ksr/" },
      to: { path: "^(src/(?!base/|infra/|models/|stores/api/|ksr/)|cmd/)" },
    },
    {
      name: "controller-no-feature",
      severity: "error",
      from: { path: "^src/controller/" },
      to: { path: "^(src/(?!base/|infra/|stores/api/|kvscheduler/api/|controller/)|cmd/)" },
    },
    {
      name: "feature-no-dataplane-no-store",
      severity: "error",
      from: { path: features },
      to: { path: "^(src/(dataplane|lab|cli|kvscheduler/(?!api/)|controller/(?!api))|src/stores/(?!api/)|cmd/)" },
    },
    {
      name: "feature-only-api-of-other-features",
      severity: "error",
      from: { path: "^src/(nodes|ipam|pods|policy|services|egress)/" },
      to: { path: "^src/(nodes|ipam|pods|policy|services|egress)/(?!api\\.ts$)", pathNot: "^src/$1/" },
    },
    {
      name: "dataplane-only-api-of-features",
      severity: "error",
      from: { path: "^src/dataplane/" },
      to: {
        path: "^(src/(nodes|ipam|pods|policy|services|egress)/(?!api\\.ts$)|src/(lab|cli|stores|controller/(?!api))|cmd/)",
      },
    },
    { name: "nobody-imports-cmd", severity: "error", from: { pathNot: "^cmd/" }, to: { path: "^cmd/" } },
  ],
  options: {
    doNotFollow: { path: "node_modules" },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: "tsconfig.json" },
    enhancedResolveOptions: {
      extensions: [".ts", ".js"],
      exportsFields: ["exports"],
      conditionNames: ["import", "node"],
    },
  },
};

{
  "variables": { "heddle_sanitize%": "" },
  "targets": [
    {
      "target_name": "heddle_native",
      "sources": [
        "src/addon.cc", "src/errors.cc", "src/ethtool.cc", "src/netns.cc", "src/netlink.cc", "src/reader.cc",
        "src/shared-memory.cc", "src/socket.cc", "src/step-values.cc", "src/steps.cc", "src/tap.cc"
      ],
      "dependencies": ["<!(node -p \"require('node-addon-api').targets\"):node_addon_api_except"],
      "defines": ["NAPI_VERSION=9", "NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS"],
      "cflags": ["-Wall", "-Wextra", "-Werror", "-fvisibility=hidden", "-O2"],
      "cflags_cc": ["-std=c++17", "-fvisibility-inlines-hidden"],
      "conditions": [
        ["heddle_sanitize!=''", {
          "cflags": ["-fsanitize=address,undefined", "-fno-omit-frame-pointer", "-fno-sanitize-recover=undefined", "-g"],
          "ldflags": ["-fsanitize=address,undefined"]
        }]
      ]
    }
  ]
}

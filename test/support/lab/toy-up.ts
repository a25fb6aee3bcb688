// Brings a toy lab up in a process of its own, for tests that kill it on the way: node toy-up.ts STATE BIN_DIR
import { join } from "node:path";
import { Lab } from "../../../src/lab/lab.ts";
import { findExecutables } from "../../../src/lab/paths.ts";

const [, , dir = "", bin = ""] = process.argv;
const here = import.meta.dirname;
const lab = await Lab.up({
  dir,
  nodes: 2,
  store: "embedded",
  executables: {
    cni: join(bin, "heddle"),
    agent: [process.execPath, join(here, "toy-agent.ts")],
    probe: findExecutables().probe,
    heddlectl: [process.execPath, join(here, "..", "..", "..", "cmd", "heddlectl", "main.ts")],
  },
});
await lab.addPod("a/b", "n1");
await lab.close();
process.stdout.write("up\n");

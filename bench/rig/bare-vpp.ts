import { RealVpp, type RealVppOptions } from "../../test/support/vpp/real-vpp.ts";

/** Lends a VPP without devices, which is gone afterwards, also when the benchmark is interrupted. */
export async function withBareVpp<T>(body: (vpp: RealVpp) => Promise<T>, options: RealVppOptions = {}): Promise<T> {
  await using vpp = await RealVpp.start(options);
  // An interrupted benchmark ends without unwinding.
  const kill = () => {
    if (vpp.pid !== undefined) process.kill(vpp.pid, "SIGKILL");
    vpp.removeFiles();
  };
  process.once("exit", kill);
  try {
    return await body(vpp);
  } finally {
    process.off("exit", kill);
  }
}

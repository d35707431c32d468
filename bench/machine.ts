/** On what was measured. */
import { statfsSync } from "node:fs"
import { availableParallelism, cpus, loadavg, tmpdir, totalmem } from "node:os"
import { version } from "../src/server/version.ts"

export interface Machine {
  readonly kagzi: string
  readonly cpu: string
  readonly cores: number
  readonly memory_gib: number
  readonly platform: string
  readonly node: string
  /** How many processes wanted a core in the minute before. */
  readonly load_before: number
  readonly processes: string
  readonly store: string
  readonly durability: string
}

const fileSystems = new Map([
  [0xef53, "ext4"],
  [0x58465342, "xfs"],
  [0x9123683e, "btrfs"],
  [0x794c7630, "overlayfs"],
  [0x01021994, "tmpfs, which is not durable"]
])

const fileSystem = (folder: string): string => {
  const { type } = statfsSync(folder)
  return fileSystems.get(type) ?? `file system 0x${type.toString(16)}`
}

/** `processes` is how many the throughput is measured with. */
export const inspect = (processes: 2 | 3): Machine => ({
  kagzi: version,
  cpu: cpus()[0]?.model.trim() ?? "unknown",
  cores: availableParallelism(),
  memory_gib: Math.round(totalmem() / 2 ** 30),
  platform: `${process.platform} ${process.arch}`,
  node: process.version,
  load_before: Math.round((loadavg()[0] ?? 0) * 10) / 10,
  processes:
    processes === 2
      ? "a server process, and one process with the worker and the client"
      : "a server process, a worker process and a client process",
  store: `SQLite (WAL) on ${fileSystem(tmpdir())}`,
  durability: "synchronous=FULL: every start, step and end is flushed to disk before it is answered"
})

/** For people. */
export const describe = (on: Machine): string =>
  [
    `kagzi ${on.kagzi} on ${on.cores} × ${on.cpu}, ${on.memory_gib} GiB, ${on.platform}, node ${on.node}`,
    `${on.processes}, over gRPC on 127.0.0.1 (load of the machine before: ${on.load_before})`,
    `${on.store}, ${on.durability}`
  ].join("\n")

/** What was measured, and on what. */
import { availableParallelism, cpus, totalmem } from "node:os"
import { version } from "../src/server/version.ts"

export interface Machine {
  readonly kagzi: string
  readonly cpu: string
  readonly cores: number
  readonly memory_gib: number
  readonly platform: string
  readonly node: string
  readonly processes: string
  readonly store: string
  readonly durability: string
}

export const machine: Machine = {
  kagzi: version,
  cpu: cpus()[0]?.model.trim() ?? "unknown",
  cores: availableParallelism(),
  memory_gib: Math.round(totalmem() / 2 ** 30),
  platform: `${process.platform} ${process.arch}`,
  node: process.version,
  processes: "one server, one worker, one client",
  store: "SQLite (WAL)",
  durability: "synchronous=FULL: answered when flushed to disk"
}

/** For people. */
export const describe = (on: Machine): string =>
  [
    `kagzi ${on.kagzi} on ${on.cores} × ${on.cpu}, ${on.memory_gib} GiB, ${on.platform}, node ${on.node}`,
    `${on.processes}; ${on.store}, ${on.durability}`
  ].join("\n")

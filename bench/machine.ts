/** On what was measured. */
import { availableParallelism, cpus, loadavg, totalmem } from "node:os"
import { version } from "../src/server/version.ts"
import type { Database } from "./database.ts"

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

/** `processes` is how many the throughput is measured with. */
export const inspect = (processes: 2 | 3, { durability, store }: Database): Machine => ({
  kagzi: version,
  cpu: cpus()[0]?.model.trim() ?? "unknown",
  cores: availableParallelism(),
  memory_gib: Math.round(totalmem() / 2 ** 30),
  platform: `${process.platform} ${process.arch}`,
  node: process.version,
  load_before: Math.round((loadavg()[0] ?? 0) * 10) / 10,
  processes: `a server process and ${processes === 2 ? "one process with the worker and the client" : "a worker process and a client process"}`,
  store,
  durability
})

/** For people. */
export const describe = (on: Machine): string =>
  [
    `kagzi ${on.kagzi} on ${on.cores} × ${on.cpu}, ${on.memory_gib} GiB, ${on.platform}, node ${on.node}`,
    `${on.processes}, over gRPC on 127.0.0.1 (load of the machine before: ${on.load_before})`,
    `${on.store}, ${on.durability}`
  ].join("\n")

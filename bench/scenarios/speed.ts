/** Throughput, latency and sequential steps: what other systems are measured with too. */
import { Effect } from "effect"
import { load, server, worker } from "../processes.ts"
import type { Load } from "../programs/load.ts"
import { medians, type Report } from "../report.ts"
import { type Sizes, workerSize } from "../sizes.ts"

export interface Options {
  readonly sizes: Sizes
  readonly repeat: number
  /** With 2 the worker shares the client's process. */
  readonly processes: 2 | 3
  /** The most servers that the scenario `servers` measures. */
  readonly servers: number
  /** What stands before the figures. */
  readonly name: string
}

/** Figures of a load on a server of its own, on a new database unless one is given. */
export const measure = Effect.fnUntraced(function* (
  { processes, sizes }: Options,
  what: Omit<Load, "worker" | "warmUp">,
  url?: string
) {
  const system = yield* server(url === undefined ? {} : { url })
  if (processes === 3) yield* worker(system, workerSize)
  const figures = yield* load(system, { ...what, worker: processes === 2, warmUp: sizes.warmUp })
  yield* system.stop
  return figures
}, Effect.scoped)

/** The median of each row over as many measurements as are wanted. */
export const repeated = <E, R>(
  { repeat }: Options,
  rows: Effect.Effect<Report["rows"], E, R>
): Effect.Effect<Report["rows"], E, R> => Effect.map(Effect.replicateEffect(rows, repeat), medians)

export type Name = "throughput" | "latency" | "sequential"

export const speed = Effect.fnUntraced(function* (options: Options, wanted: ReadonlySet<string>) {
  const { latency, sequential, throughput } = options.sizes
  const about: Readonly<Record<Name, string>> = {
    throughput: `${throughput.runs} workflows of 5 steps, ${throughput.inFlight} in flight`,
    latency: `${latency.runs} workflows of one step, one after the other`,
    sequential: `one workflow of ${sequential.steps} steps`
  }
  const names = (["throughput", "latency", "sequential"] as const).filter((name) => wanted.has(name))
  const what = Object.fromEntries(names.map((name) => [name, options.sizes[name]]))
  const rows = yield* repeated(
    options,
    Effect.map(measure(options, what), (figures) => [figures])
  )
  const report: Report = {
    name: options.name,
    about: `${names.map((name) => about[name]).join("; ")}; from start to result`,
    rows
  }
  return report
})

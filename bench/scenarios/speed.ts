/** Throughput, latency and sequential steps: what other systems are measured with too. */
import { Effect } from "effect"
import { load, server, worker } from "../processes.ts"
import type { Load } from "../programs/load.ts"
import type { Report } from "../report.ts"
import { medians } from "../report.ts"
import { type Sizes, workerSize } from "../sizes.ts"

export interface Options {
  readonly sizes: Sizes
  readonly repeat: number
  /** With 2 the worker shares the client's process. */
  readonly processes: 2 | 3
}

/** Figures of a load on a server of its own, which may have a file already. */
export const measure = Effect.fnUntraced(function* (
  { processes, sizes }: Options,
  what: Omit<Load, "worker" | "warmUp">,
  file?: string
) {
  const system = yield* server(file === undefined ? {} : { file })
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
    name: "kagzi",
    about: `${names.map((name) => about[name]).join("; ")}; from start to result`,
    rows
  }
  return report
})

/** Throughput, latency and sequential steps: what other systems are measured with too. */
import { Effect } from "effect"
import { Database } from "../database.ts"
import { load, server, type System, worker } from "../processes.ts"
import type { Load } from "../programs/load.ts"
import { medians, type Report, type Row } from "../report.ts"
import { type Sizes, workerSize } from "../sizes.ts"
import { round } from "../statistics.ts"

export interface Options {
  readonly sizes: Sizes
  readonly repeat: number
  /** With 2 the worker shares the client's process. */
  readonly processes: 2 | 3
  /** How many servers share the database while throughput is measured. */
  readonly servers: number
  /** What stands before the figures. */
  readonly name: string
}

/** What one of so many does. */
const part = ({ inFlight, runs }: Sizes["throughput"], of: number) => ({
  runs: Math.ceil(runs / of),
  inFlight: Math.ceil(inFlight / of)
})

const sum = (figures: ReadonlyArray<Row>, field: string) =>
  round(figures.reduce((total, row) => total + Number(row[field]), 0))

/**
 * Figures of a load on servers of its own, on a new database unless one is given. Of several servers each has a worker
 * and a client that do a part of the throughput at the same time, all on one queue; what is measured one by one is
 * measured on the first.
 */
export const measure = Effect.fnUntraced(function* (
  { processes, servers, sizes }: Options,
  { throughput, ...what }: Omit<Load, "worker" | "warmUp">,
  url?: string
) {
  const database = url ?? (yield* (yield* Database).make)
  const systems: Array<System> = []
  for (let index = 0; index < servers; index++) systems.push(yield* server({ url: database }))
  if (processes === 3) for (const system of systems) yield* worker(system, workerSize)
  const settings = { worker: processes === 2, warmUp: sizes.warmUp }
  const figures: Array<Row> = []
  if (servers === 1 || throughput === undefined) {
    figures.push(
      yield* load(systems[0]!, { ...what, ...settings, ...(throughput === undefined ? {} : { throughput }) })
    )
  } else {
    const rates = yield* Effect.forEach(
      systems,
      (system) => load(system, { ...settings, throughput: part(throughput, servers) }),
      { concurrency: "unbounded" }
    )
    figures.push({ workflows_per_s: sum(rates, "workflows_per_s"), steps_per_s: sum(rates, "steps_per_s") })
    if (Object.keys(what).length > 0) figures.push(yield* load(systems[0]!, { ...what, ...settings }))
  }
  for (const system of systems) yield* system.stop
  const all: Row = Object.assign({}, ...figures)
  return all
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

/** Throughput of one server and of several on one database, for the same workers and clients. */
import { Effect } from "effect"
import { Database } from "../database.ts"
import { load, server, type System } from "../processes.ts"
import type { Report } from "../report.ts"
import { median, round } from "../statistics.ts"
import type { Options } from "./speed.ts"

/**
 * The workflows per second of as many processes as there are servers at the most, each of which has a worker and a
 * client and does its part of the throughput. They share so many servers.
 */
const rate = Effect.fnUntraced(function* ({ servers: processes, sizes }: Options, servers: number) {
  const url = yield* (yield* Database).make
  const systems: Array<System> = []
  while (systems.length < servers) systems.push(yield* server({ url }))
  const { inFlight, runs } = sizes.throughput
  const part = { runs: Math.ceil(runs / processes), inFlight: Math.ceil(inFlight / processes) }
  const figures = yield* Effect.forEach(
    Array.from({ length: processes }, (_, index) => systems[index % servers]!),
    (system) => load(system, { worker: true, warmUp: sizes.warmUp, throughput: part }),
    { concurrency: "unbounded" }
  )
  for (const system of systems) yield* system.stop
  // all have done their part when the slowest has
  return processes * Math.min(...figures.map(({ workflows_per_s }) => Number(workflows_per_s)))
}, Effect.scoped)

export const servers = Effect.fnUntraced(function* (options: Options) {
  const counts = Array.from({ length: options.servers }, (_, index) => index + 1)
  const rounds: Array<ReadonlyArray<number>> = []
  for (let index = 0; index < options.repeat; index++) {
    const rates: Array<number> = []
    // There and back in turn, so that a machine that becomes slower or faster favours none.
    for (const count of index % 2 === 0 ? counts : counts.toReversed()) rates[count - 1] = yield* rate(options, count)
    rounds.push(rates)
  }
  const { inFlight, runs } = options.sizes.throughput
  const report: Report = {
    name: "kagzi servers",
    about: `${runs} workflows of 5 steps, ${inFlight} in flight, of ${options.servers} processes with a worker and a client each, which share so many servers of one database; the ratio to one server is the median of rounds`,
    rows: counts.map((count, index) => ({
      servers: count,
      workflows_per_s: round(median(rounds.map((rates) => rates[index] ?? Number.NaN))),
      ratio: round(median(rounds.map((rates) => (rates[index] ?? Number.NaN) / (rates[0] ?? Number.NaN))), 2)
    }))
  }
  return report
})

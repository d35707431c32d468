/** Throughput on databases with runs in them, against an empty one measured at the same time. */
import { execFileSync } from "node:child_process"
import { statSync } from "node:fs"
import { join } from "node:path"
import { Console, Effect } from "effect"
import { type Filling, fill } from "../fill.ts"
import { temporaryFolder } from "../database.ts"
import type { Report } from "../report.ts"
import { median, round } from "../statistics.ts"
import { measure, type Options } from "./speed.ts"

const rate = (options: Options, file?: string) =>
  Effect.map(
    measure(options, { throughput: options.sizes.throughput }, file === undefined ? undefined : `sqlite:${file}`),
    (figures) => Number(figures.workflows_per_s)
  )

/** What of the filling is still to be written would be written while something else is measured. */
const flush = Effect.sync(() => execFileSync("sync"))

const filled = Effect.fnUntraced(function* (options: Options, filling: Filling) {
  const file = join(yield* temporaryFolder, "kagzi.db")
  yield* Console.error(`filling a database with ${filling.finished} finished and ${filling.sleeping} sleeping runs`)
  yield* fill(file, filling)
  yield* flush
  const megabytes = Math.round(statSync(file).size / 1e6)
  const pairs: Array<{ readonly empty: number; readonly filled: number }> = []
  for (let index = 0; index < options.repeat; index++) {
    // Each goes first in turn, so that a machine that becomes slower or faster favours neither.
    const first = index % 2 === 0 ? yield* rate(options) : undefined
    const filled = yield* rate(options, file)
    pairs.push({ empty: first ?? (yield* rate(options)), filled })
  }
  return {
    finished: filling.finished,
    sleeping: filling.sleeping,
    file_mb: megabytes,
    workflows_per_s: median(pairs.map((pair) => pair.filled)),
    empty_workflows_per_s: median(pairs.map((pair) => pair.empty)),
    ratio: round(median(pairs.map((pair) => pair.filled / pair.empty)), 2)
  }
}, Effect.scoped)

export const scaling = Effect.fnUntraced(function* (options: Options) {
  const report: Report = {
    name: "kagzi scaling",
    about: "throughput on a database with runs in it, and on an empty one beside it; the ratio is the median of pairs",
    rows: yield* Effect.forEach(options.sizes.scaling.fillings, (filling) => filled(options, filling))
  }
  return report
})

/** Throughput with results of steps that are of some size. */
import { Effect } from "effect"
import type { Report } from "../report.ts"
import { measure, type Options, repeated } from "./speed.ts"

const size = (bytes: number) => (bytes >= 1_048_576 ? `${bytes / 1_048_576} MiB` : `${bytes / 1_024} KiB`)

export const payloads = Effect.fnUntraced(function* (options: Options) {
  const rows = yield* repeated(
    options,
    Effect.forEach(options.sizes.payloads, (what) =>
      Effect.map(measure(options, { payloads: what }), (figures) => ({
        result_of_step: size(what.bytes),
        workflows: what.runs,
        in_flight: what.inFlight,
        ...figures
      }))
    )
  )
  const report: Report = {
    name: "kagzi payloads",
    about: "workflows of 5 steps with a text as the result of each",
    rows
  }
  return report
})

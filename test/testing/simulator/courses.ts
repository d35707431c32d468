import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Simulator from "../../../src/testing/simulator/Simulator.ts"
import { type Counts, sum } from "../../../src/testing/simulator/Tally.ts"
import * as workload from "../../../src/testing/simulator/workload.ts"

/** Fails with the fewest faults that break a promise, if one is broken, and gives what the course contained if not. */
export const passes = Effect.fnUntraced(function* (
  course: Pick<Simulator.Options<never>, "seed" | "servers" | "faults">
) {
  const options = { ...workload, ...course }
  const outcome = yield* Simulator.run(options)
  if (outcome.violations.length > 0) assert.fail(Simulator.report(yield* Simulator.shrink(options, outcome)))
  return outcome.counts
})

const missing = (counts: Iterable<Counts>): ReadonlyArray<string> =>
  Object.entries(sum(counts)).flatMap(([what, times]) => (times > 0 ? [] : [what]))

/** A test for so many seeds from the first. */
export const keepsWhatIsPromised = (first: number, count: number): void => {
  it.live(
    `is kept in ${count} courses of events from seed ${first}, in which everything happens that can`,
    () =>
      Effect.gen(function* () {
        const counts = yield* Effect.forEach(Simulator.seeds(count, first), (seed) => passes({ seed }))
        assert.deepStrictEqual(missing(counts), [])
      }),
    300_000
  )
}

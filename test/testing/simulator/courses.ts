import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Simulator from "../../../src/testing/simulator/Simulator.ts"

/** Fails with the first course that breaks a promise, and the fewest faults that do so. */
export const passes = Effect.fnUntraced(function* (
  course: Pick<Simulator.Options<never>, "seed" | "servers" | "faults">
) {
  const found = yield* Simulator.check({ ...Simulator.workload, ...course })
  assert.isUndefined(found, found === undefined ? "" : Simulator.report(found))
})

/** A test for so many seeds from the first. */
export const keepsWhatIsPromised = (first: number, count: number): void => {
  it.live(
    `is kept in ${count} courses of events from seed ${first}`,
    () => Effect.forEach(Simulator.seeds(count, first), (seed) => passes({ seed }), { discard: true }),
    300_000
  )
}

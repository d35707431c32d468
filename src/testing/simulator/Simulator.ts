/**
 * Runs workflows through thousands of courses of events in which machines, the network and the database fail, and holds
 * what comes of it against what Kagzi promises.
 *
 * **Example**
 *
 * ```ts
 * it.effect("survives", () =>
 *   Effect.gen(function* () {
 *     for (const seed of Simulator.seeds(200)) {
 *       const found = yield* Simulator.check({ seed, workflows: [ProcessOrderLive], client: () => ProcessOrder.execute(order) })
 *       assert.isUndefined(found, found === undefined ? "" : Simulator.report(found))
 *     }
 *   }))
 * ```
 */
import { Effect } from "effect"
import type * as Workflow from "../../Workflow.ts"
import { describe, type Fault } from "./Faults.ts"
import { tell, type Violation } from "./promises.ts"
import { type Options, type Outcome, run as runTrial } from "./Simulation.ts"

export { Chance } from "./Chance.ts"
export type { Fault } from "./Faults.ts"
export { promises, type Violation } from "./promises.ts"
export type { ClientTools, Options, Outcome } from "./Simulation.ts"
export type { Counts, Happening } from "./Tally.ts"

/** So many seeds, from the first. */
export const seeds = (count: number, first = 1): ReadonlyArray<number> =>
  Array.from({ length: count }, (_, index) => first + index)

/** Carries out the course of a seed, whatever comes of it. */
export const run: <W extends Workflow.Implementation.Any>(
  options: Options<W>
) => Effect.Effect<Outcome, never, Workflow.Implementation.Services<W>> = runTrial

/** How often several faults are left out at a time, before it is tried with each alone. */
const shrinkTries = 100

const keyOf = ({ kind, promise }: Violation) => `${promise} ${kind}`

/**
 * Leaves out faults for as long as the same promise is broken without them: of what is left in the end, each fault is
 * needed.
 */
export const shrink = <W extends Workflow.Implementation.Any>(
  options: Options<W>,
  failed: Outcome
): Effect.Effect<Outcome, never, Workflow.Implementation.Services<W>> =>
  Effect.gen(function* () {
    // one thing is followed, or what is left may break another than what there was; what must never happen comes first
    const followed = failed.violations.find(({ kind }) => kind === "safety") ?? failed.violations[0]
    let smallest = failed.faults
    let tries = 0
    /** Goes through all faults and leaves out so many at a time. Tells whether there were any that could be. */
    const without = Effect.fnUntraced(function* (size: number) {
      const before = smallest.length
      for (let at = 0; at < smallest.length && (size === 1 || tries < shrinkTries); tries++) {
        const faults: ReadonlyArray<Fault> = smallest.filter((_, index) => index < at || index >= at + size)
        const { violations } = yield* run({ ...options, faults })
        if (violations.some((violation) => followed !== undefined && keyOf(violation) === keyOf(followed))) {
          smallest = faults
        } else at += size
      }
      return smallest.length < before
    })
    for (let size = Math.ceil(smallest.length / 2); size > 1; size = Math.ceil(size / 2)) yield* without(size)
    while (yield* without(1)) {
      // one that was needed before may not be any more
    }
    return yield* run({ ...options, faults: smallest, keepTrace: true })
  })

/** Carries out the course of a seed. Where a promise is broken it gives the course with the fewest faults that does so. */
export const check = <W extends Workflow.Implementation.Any>(
  options: Options<W>
): Effect.Effect<Outcome | undefined, never, Workflow.Implementation.Services<W>> =>
  Effect.flatMap(run(options), (outcome) =>
    outcome.violations.length === 0 ? Effect.succeed(undefined) : shrink(options, outcome)
  )

/** What went wrong, for people: the seed, the faults that it takes, and which promises are broken how. */
export const report = ({ faults, seed, violations }: Outcome): string =>
  [
    `Seed ${seed} breaks what is promised, with ${faults.length} faults:`,
    ...faults.map((fault) => `  - ${describe(fault)}`),
    ...violations.map((violation) => `  ${tell(violation)}`)
  ].join("\n")

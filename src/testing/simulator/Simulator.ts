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
import { tell } from "./promises.ts"
import { type Options, type Outcome, run } from "./Simulation.ts"

export { Chance } from "./Chance.ts"
export type { Fault } from "./Faults.ts"
export { promises, type Violation } from "./promises.ts"
export { type ClientTools, type Options, type Outcome, run, type Sabotage } from "./Simulation.ts"
/** What is simulated where nothing else is given: steps, sleeps, branches, races, cancellations, retries, schedules. */
export * as workload from "./workload.ts"

/** So many seeds, from the first. */
export const seeds = (count: number, first = 1): ReadonlyArray<number> =>
  Array.from({ length: count }, (_, index) => first + index)

/** How often another course is tried to find out which faults are needed. */
const shrinkTries = 150

/** Leaves out faults for as long as the same promise is broken without them. */
export const shrink = <W extends Workflow.Implementation.Any>(
  options: Options<W>,
  failed: Outcome
): Effect.Effect<Outcome, never, Workflow.Implementation.Services<W>> =>
  Effect.gen(function* () {
    const broken = new Set(failed.violations.map(({ kind, promise }) => `${promise} ${kind}`))
    let smallest = failed
    let tries = 0
    for (let size = Math.ceil(failed.faults.length / 2); size >= 1; ) {
      let found = false
      for (let at = 0; at < smallest.faults.length && tries < shrinkTries; tries++) {
        const faults: ReadonlyArray<Fault> = smallest.faults.filter((_, index) => index < at || index >= at + size)
        const outcome = yield* run({ ...options, faults })
        if (outcome.violations.some(({ kind, promise }) => broken.has(`${promise} ${kind}`))) {
          smallest = outcome
          found = true
        } else at += size
      }
      if (tries >= shrinkTries) break
      if (!found || size > smallest.faults.length) size = size === 1 ? 0 : Math.ceil(size / 2)
    }
    return yield* run({ ...options, faults: smallest.faults, keepTrace: true })
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

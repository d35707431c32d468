/**
 * Effect's concurrent combinators for workflow bodies. Each gives its branches an identity, so that what they do is found
 * again on replay whatever order they finish in; the rest is Effect's own.
 */
import { Duration, Effect, Result } from "effect"
import * as KagziError from "../KagziError.ts"
import type { AnyEffect } from "./Rules.ts"
import * as Wait from "./Wait.ts"
import { type Branches, WorkflowRun } from "./WorkflowRun.ts"

/** How many branches run at the same time; 1 unless given. */
export type Concurrency = number | "unbounded"

/** What `all` takes. */
export interface AllOptions {
  readonly concurrency?: Concurrency | undefined
  readonly discard?: boolean | undefined
  readonly mode?: "default" | "result" | undefined
}

/** What `forEach` takes. */
export interface ForEachOptions<A> {
  readonly concurrency?: Concurrency | undefined
  /** What tells the items apart; their places unless given. With keys, items may be reordered while a run is under way. */
  readonly key?: ((item: A, index: number) => string | number) | undefined
}

/** The same effect, in a body. */
export type InRun<Eff> =
  Eff extends Effect.Effect<infer A, infer E, infer R> ? Effect.Effect<A, E, R | WorkflowRun> : never

const branching = <A, E, R>(combinator: string, f: (branches: Branches) => Effect.Effect<A, E, R>) =>
  Effect.flatMap(WorkflowRun, (workflowRun) => Effect.flatMap(workflowRun.branches(combinator), f))

/**
 * `Effect.all`: a tuple, an iterable or a record of effects into one, whose branches are known by their places or names.
 *
 * **Details**
 *
 * One after the other unless `concurrency` says otherwise. The first failure interrupts what still runs, unless `mode`
 * is `result`.
 */
export const all = <
  const Arg extends Iterable<AnyEffect> | Readonly<Record<string, AnyEffect>>,
  Options extends AllOptions
>(
  effects: Arg,
  options?: Options
): InRun<Effect.All.Return<Arg, Options>> => {
  const each = branching("Workflow.all", (branches): AnyEffect => {
    const identified =
      Symbol.iterator in effects
        ? Array.from(effects as Iterable<AnyEffect>, (effect, index) => branches(index)(effect))
        : Object.fromEntries(Object.entries(effects).map(([name, effect]) => [name, branches(name)(effect)]))
    return Effect.all(identified, options)
  })
  // Wrapping keeps every effect's type, which neither map can say.
  return each as InRun<Effect.All.Return<Arg, Options>>
}

/**
 * `Effect.forEach`: the results of a function's effects, in the order of the items.
 *
 * **Details**
 *
 * One after the other unless `concurrency` says otherwise. The first failure interrupts what still runs. Two items with
 * the same key are a defect that ends the run.
 */
export const forEach = <A, B, E, R>(
  items: Iterable<A>,
  f: (item: A, index: number) => Effect.Effect<B, E, R>,
  options: ForEachOptions<A> = {}
): Effect.Effect<Array<B>, E, R | WorkflowRun> =>
  branching("Workflow.forEach", (branches) => {
    const keyed = withKeys(items, options.key)
    return Result.isFailure(keyed)
      ? Effect.die(new KagziError.InvalidArgument({ message: `Workflow.forEach: ${keyed.failure}` }))
      : Effect.forEach(
          keyed.success,
          ({ index, item, key }) => branches(key)(Effect.suspend(() => f(item, index))),
          options.concurrency === undefined ? {} : { concurrency: options.concurrency }
        )
  })

/** Items with what tells them apart, or what is wrong with that. */
export const withKeys = <A>(
  items: Iterable<A>,
  keyOf: ((item: A, index: number) => string | number) | undefined
): Result.Result<
  ReadonlyArray<{ readonly item: A; readonly index: number; readonly key: string | number }>,
  string
> => {
  const keys = new Set<string>()
  const all = Array.from(items, (item, index) => ({
    item,
    index,
    key: keyOf === undefined ? index : keyOf(item, index)
  }))
  for (const { key } of all) {
    if (keys.has(String(key))) {
      return Result.fail(`two items have the key ${JSON.stringify(key)}, and a key must be an item's own`)
    }
    keys.add(String(key))
  }
  return Result.succeed(all)
}

/**
 * `Effect.raceAll`: the result of the effect that succeeds first; the others are interrupted, and their timers dropped.
 * Fails when all have failed.
 */
export const race = <Effects extends readonly [AnyEffect, ...ReadonlyArray<AnyEffect>]>(
  ...effects: Effects
): InRun<
  Effect.Effect<Effect.Success<Effects[number]>, Effect.Error<Effects[number]>, Effect.Services<Effects[number]>>
> =>
  branching("Workflow.race", (branches) =>
    Effect.raceAll(effects.map((effect, index): Effects[number] => branches(index)(effect)))
  )

const limited = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  duration: Duration.Input
): Effect.Effect<A, E | KagziError.Timeout, R | WorkflowRun> =>
  Effect.flatMap(WorkflowRun, (workflowRun) => {
    const limit = Wait.duration(duration, "Workflow.timeout")
    if (Result.isFailure(limit)) return Effect.die(limit.failure)
    const expired = Effect.andThen(
      workflowRun.sleep({ name: "timeout", wait: { duration: limit.success } }),
      Effect.fail(new KagziError.Timeout({ message: `Not done after ${Duration.format(limit.success)}` }))
    )
    return Effect.flatMap(workflowRun.branches("Workflow.timeout"), (branches) =>
      Effect.raceFirst(branches("effect")(effect), branches("timeout")(expired))
    )
  })

/**
 * A time limit that survives the process; a number is milliseconds. Past it the effect is interrupted, its steps and
 * timers included, and the whole fails with `Timeout`, a `KagziError`.
 */
export const timeout: {
  (
    duration: Duration.Input
  ): <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E | KagziError.Timeout, R | WorkflowRun>
  <A, E, R>(
    effect: Effect.Effect<A, E, R>,
    duration: Duration.Input
  ): Effect.Effect<A, E | KagziError.Timeout, R | WorkflowRun>
} = (...args: readonly [AnyEffect, Duration.Input] | readonly [Duration.Input]): never =>
  // One function for both signatures above; which one it is shows in the number of arguments.
  (args.length === 2 ? limited(args[0], args[1]) : (effect: AnyEffect) => limited(effect, args[0])) as never

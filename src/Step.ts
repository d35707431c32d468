/**
 * Steps: the parts of a workflow that touch the world. A step runs at least once, and its recorded result is what the
 * body sees, at the first execution and on every replay alike.
 */
import { type Duration, Effect, Result } from "effect"
import * as KagziError from "./KagziError.ts"
import * as RetryPolicy from "./RetryPolicy.ts"
import type { Payload } from "./Run.ts"
import * as Codec from "./worker/Codec.ts"
import { type Concurrency, withKeys } from "./worker/Combinators.ts"
import type { AnyEffect, InputRule, InStep, StepRules, TimeoutOf, TypeOf } from "./worker/Rules.ts"
import * as TypedFailure from "./worker/TypedFailure.ts"
import * as Wait from "./worker/Wait.ts"
import { CurrentStep, type StepInfo, type StepSpec, WorkflowRun } from "./worker/WorkflowRun.ts"

export type { InStep } from "./worker/Rules.ts"
export type { StepInfo } from "./worker/WorkflowRun.ts"

/** What `run` takes beside the step's name and effect. */
export interface Options<
  Out extends Codec.AnySchema,
  Err extends Codec.AnySchema,
  Limit extends Duration.Input | undefined,
  In
> {
  /** Recorded with the step, for people and for the check that replayed code still asks for the same. */
  readonly input?: (In & InputRule<In>) | undefined
  /** How the result is recorded. Needed when JSON alone would not give it back as it was. */
  readonly output?: Out | undefined
  /** The typed failures of the step, beside any `KagziError`. A declared failure is retried unless the policy lists its tag. */
  readonly error?: Err | undefined
  /** What it leaves open is taken from the worker's default, then from the run's policy. */
  readonly retry?: RetryPolicy.RetryPolicy | undefined
  /**
   * The longest that one attempt may take; then it fails with `Timeout`, which is retried like other failures. A number
   * is milliseconds.
   */
  readonly timeout?: Limit
  /** Sets the step apart from others of its name, whatever order they run in. */
  readonly key?: string | undefined
}

/** What `forEach` takes beside the step's name, items and function. */
export interface ForEachOptions<
  Item,
  Out extends Codec.AnySchema,
  Err extends Codec.AnySchema,
  Limit extends Duration.Input | undefined
> extends Omit<Options<Out, Err, Limit, unknown>, "input" | "key"> {
  /** What tells the items apart; their places unless given. With keys, items may be reordered while a run is under way. */
  readonly key?: ((item: Item, index: number) => string | number) | undefined
  /** How many steps run at the same time; 1 unless given. */
  readonly concurrency?: Concurrency | undefined
  /** What to record as the input of an item's step; a JSON value. */
  readonly input?: ((item: Item, index: number) => unknown) | undefined
}

/**
 * Runs an effect as a step of the workflow. What it succeeds or fails with is recorded, and is what the body gets.
 *
 * **Details**
 *
 * The result must survive JSON, or an `output` schema must say how to record it. A failure must be a `KagziError` or fit
 * the `error` schema. A failed attempt is repeated as the retry policy says; the body sees the failure of the last one.
 * A defect of the effect is retried too, and then is a defect of the body.
 *
 * **Gotchas**
 *
 * Steps run at least once: an attempt whose record was lost with its worker is repeated. `Step.info` has a key that is
 * the same for all attempts. What makes no sense, such as an empty name or an invalid policy or timeout, is a defect
 * that ends the run.
 *
 * @example
 * ```ts
 * const paymentId = yield* Step.run("process-payment", payments.charge(input), {
 *   output: Schema.String,
 *   error: CardDeclined,
 *   retry: RetryPolicy.exponential({ maximumAttempts: 5, initialInterval: "500 millis" })
 * })
 * ```
 */
export const run: {
  <
    Out extends Codec.AnySchema = never,
    Err extends Codec.AnySchema = never,
    Limit extends Duration.Input | undefined = undefined,
    In = undefined
  >(
    name: string,
    options?: Options<Out, Err, Limit, In>
  ): <A, E, R>(
    effect: Effect.Effect<A, E, R> & StepRules<NoInfer<A>, NoInfer<E>, NoInfer<R>, Out, Err>
  ) => Effect.Effect<TypeOf<Out, A>, E | TimeoutOf<Limit>, WorkflowRun | InStep<R>>
  <
    A,
    E,
    R,
    Out extends Codec.AnySchema = never,
    Err extends Codec.AnySchema = never,
    Limit extends Duration.Input | undefined = undefined,
    In = undefined
  >(
    name: string,
    effect: Effect.Effect<A, E, R> & StepRules<NoInfer<A>, NoInfer<E>, NoInfer<R>, NoInfer<Out>, NoInfer<Err>>,
    options?: Options<Out, Err, Limit, In>
  ): Effect.Effect<TypeOf<Out, A>, E | TimeoutOf<Limit>, WorkflowRun | InStep<R>>
} = (name: string, ...rest: ReadonlyArray<unknown>): never => {
  const site = siteOf(name)
  // The signatures above say what this is; from here on there are payloads only.
  return (
    Effect.isEffect(rest[0])
      ? untyped(name, rest[0] as AnyEffect, (rest[1] ?? {}) as UntypedOptions, site)
      : (effect: AnyEffect) => untyped(name, effect, (rest[0] ?? {}) as UntypedOptions, site)
  ) as never
}

/**
 * Runs one step for each item, all under one name, and gives the results in the order of the items.
 *
 * **Details**
 *
 * One after the other unless `concurrency` says otherwise. The first failure interrupts what still runs. An item's step
 * is known by its place, or by `key`; two items with the same key are a defect that ends the run.
 */
export const forEach = <
  Item,
  A,
  E,
  R,
  Out extends Codec.AnySchema = never,
  Err extends Codec.AnySchema = never,
  Limit extends Duration.Input | undefined = undefined
>(
  name: string,
  items: Iterable<Item>,
  f: (
    item: Item,
    index: number
  ) => Effect.Effect<A, E, R> & StepRules<NoInfer<A>, NoInfer<E>, NoInfer<R>, NoInfer<Out>, NoInfer<Err>>,
  options: ForEachOptions<Item, Out, Err, Limit> = {}
): Effect.Effect<Array<TypeOf<Out, A>>, E | TimeoutOf<Limit>, WorkflowRun | InStep<R>> => {
  const site = new Error(name)
  const { concurrency, input, key, ...stepOptions } = options
  const each = Effect.gen(function* () {
    const workflowRun = yield* WorkflowRun
    const branches = yield* workflowRun.branches("Step.forEach")
    const keyed = withKeys(items, key)
    if (Result.isFailure(keyed)) return yield* refuse(name, keyed.failure)
    return yield* Effect.forEach(
      keyed.success,
      ({ index, item, key }) => {
        const untypedOptions: UntypedOptions =
          input === undefined ? stepOptions : { ...stepOptions, input: input(item, index) }
        return branches(key)(untyped(name, f(item, index), untypedOptions, site))
      },
      { concurrency }
    )
  })
  // The signature above says what this is.
  return each as never
}

/**
 * The step that the present code runs in: the run's id, the step's name, the attempt, from 1, and a key for the
 * idempotency of other systems, the same for all attempts. A defect outside steps.
 */
export const info: Effect.Effect<StepInfo> = Effect.flatMap(CurrentStep, (current) =>
  current === undefined
    ? Effect.die(new KagziError.InvalidArgument({ message: "Step.info was used outside a step" }))
    : Effect.succeed(current)
)

/** Frames of a stack that are kept: those of this package, which come first, and the caller's. */
const frames = 4

/** An error whose stack names the place where a step is asked for. Most of what it costs is in its frames. */
const siteOf = (name: string): Error => {
  const limit = Error.stackTraceLimit
  Error.stackTraceLimit = frames
  const site = new Error(name)
  Error.stackTraceLimit = limit
  return site
}

interface UntypedOptions
  extends Omit<Options<Codec.AnySchema, Codec.AnySchema, Duration.Input | undefined, unknown>, "input"> {
  readonly input?: unknown
}

const refuse = (name: string, reason: string) =>
  Effect.die(
    new KagziError.InvalidArgument({
      message: `Step ${JSON.stringify(name)}: ${reason}`,
      subject: "step",
      subjectId: name
    })
  )

const untyped = (
  name: string,
  effect: AnyEffect,
  options: UntypedOptions,
  site: Error
): Effect.Effect<unknown, unknown, WorkflowRun> => {
  const { error: schema, key, retry, timeout } = options
  const subject = `step ${JSON.stringify(name)}`
  if (name === "") return refuse(name, "a step needs a name")
  const wrongPolicy = retry === undefined ? undefined : RetryPolicy.problem(retry)
  if (wrongPolicy !== undefined) return refuse(name, `invalid retry policy: ${wrongPolicy}`)
  const limit = timeout === undefined ? undefined : Wait.duration(timeout, "timeout")
  if (limit !== undefined && Result.isFailure(limit)) return refuse(name, limit.failure.message)
  const input = Codec.stringify(options.input ?? null)
  if (Result.isFailure(input)) return refuse(name, `its input does not survive JSON: ${input.failure}`)
  const output = options.output === undefined ? Codec.json : Codec.make(options.output)
  const resultProblem = options.output === undefined ? "does not survive JSON" : "does not fit its `output` schema"

  // Its services come from the worker, whose type demands them.
  const execute: Effect.Effect<Payload, KagziError.Detail> = (effect as Effect.Effect<unknown, unknown>).pipe(
    Effect.matchEffect({
      onFailure: (error) => Effect.flatMap(TypedFailure.encode(error, { schema, final: false, subject }), Effect.fail),
      onSuccess: (value) =>
        Effect.mapError(output.encode(value), (reason) =>
          TypedFailure.asDefect(
            new KagziError.InvalidArgument({ message: `The result of ${subject} ${resultProblem}: ${reason}` })
          )
        )
    }),
    // Thrown or failed with: a caller could not tell from the record, so it says which.
    Effect.catchDefect((defect) =>
      KagziError.isKagziError(defect) ? Effect.fail(TypedFailure.asDefect(defect)) : Effect.die(defect)
    )
  )

  const spec: StepSpec = {
    name,
    input: input.success,
    execute,
    site,
    ...(key === undefined ? {} : { key }),
    ...(retry === undefined ? {} : { retry }),
    ...(limit === undefined ? {} : { timeout: limit.success })
  }
  return Effect.matchEffect(
    Effect.flatMap(WorkflowRun, (run) => run.step(spec)),
    {
      onFailure: (detail) => Effect.flatMap(TypedFailure.decode(detail, { schema, subject }), raise),
      onSuccess: (payload) =>
        Effect.catch(output.decode(payload), (reason) =>
          Effect.die(
            KagziError.nonRetryable(`The recorded result of ${subject} does not fit its \`output\` schema: ${reason}`)
          )
        )
    }
  )
}

const raise = (failure: TypedFailure.Decoded): Effect.Effect<never, unknown> =>
  failure._tag === "Declared" || failure._tag === "Kagzi" ? Effect.fail(failure.error) : Effect.die(failure.error)

/**
 * Workflows: functions that survive the process they run in.
 *
 * A definition names a workflow and its types; programs that only start it need no more. An implementation adds the body,
 * for the worker. In a body, what is here and `Step` is durable, and so are Effect's own clock, random numbers, `sleep`,
 * and single-fiber combinators.
 */
import { DateTime, type Duration, Effect, Random, Result } from "effect"
import { type InNamespace, KagziClient } from "./KagziClient.ts"
import * as KagziError from "./KagziError.ts"
import * as RetryPolicy from "./RetryPolicy.ts"
import * as Run from "./Run.ts"
import * as Schedule from "./Schedule.ts"
import { fieldsOf, type Settings } from "./ScheduleClient.ts"
import * as TraceContext from "./TraceContext.ts"
import * as WorkflowHandle from "./WorkflowHandle.ts"
import * as Branch from "./worker/Branch.ts"
import * as Codec from "./worker/Codec.ts"
import type { BodyRules, ServicesOf, TypeOf } from "./worker/Rules.ts"
import * as TypedFailure from "./worker/TypedFailure.ts"
import * as Wait from "./worker/Wait.ts"
import { type Info, WorkflowRun } from "./worker/WorkflowRun.ts"

export type { InNamespace } from "./KagziClient.ts"
export {
  type Handle,
  type ResultError,
  WorkflowCancelled,
  WorkflowFailed,
  WorkflowTerminated
} from "./WorkflowHandle.ts"
export { all, forEach, race, timeout } from "./worker/Combinators.ts"
export type { Instant } from "./worker/Wait.ts"
export { type Info, WorkflowRun } from "./worker/WorkflowRun.ts"

/** What `make` takes beside the workflow's name. */
export interface MakeOptions<In extends Codec.AnySchema, Out extends Codec.AnySchema, Err extends Codec.AnySchema> {
  /** Where its runs wait for a worker; the workflow's name unless given. */
  readonly taskQueue?: string | undefined
  /** Nothing, `void`, unless given. */
  readonly input?: In | undefined
  /** Nothing, `void`, unless given. */
  readonly output?: Out | undefined
  /** The typed failures that reach the caller as they are. Any other error reaches it inside `WorkflowFailed`. */
  readonly error?: Err | undefined
  /** The version that new runs get unless their start says otherwise; the server's default, `1`, unless given. */
  readonly version?: string | undefined
}

/** What `start` and `execute` take beside the input. */
export interface StartOptions {
  /**
   * The caller's own id for the run. Starting again with the id of a run that has not ended starts nothing and gives
   * that run. A random UUID unless given.
   */
  readonly id?: string | undefined
  /** The client's unless given. */
  readonly namespace?: string | undefined
  /** The definition's unless given. */
  readonly version?: string | undefined
  /** For the run as a whole: without a policy a failed run is not executed again. Also the last resort of its steps. */
  readonly retryPolicy?: RetryPolicy.RetryPolicy | undefined
  /** `maximumAttempts` of the policy: executions in all, the first included; 0 is unlimited. */
  readonly retries?: number | undefined
  /** What happens when a run has that id; `use-active` unless given. */
  readonly ifExists?: Run.IfExists | undefined
}

/** What `schedule` takes: when to start runs, and their input. */
export type ScheduleOptions<Input> = Settings & {
  readonly cron: string
  /** The client's unless given. */
  readonly namespace?: string | undefined
} & ([undefined] extends [Input] ? { readonly input?: Input } : { readonly input: Input })

/** The name and the types of a workflow, and the ways to run it. */
export interface Workflow<in out Input, in out Output, in out Error> {
  /** The workflow type. */
  readonly name: string
  readonly taskQueue: string
  readonly version: string | undefined
  /**
   * Adds the body: the worker's part.
   *
   * **Details**
   *
   * The body may be executed many times for one run, so it must do the same each time: what touches the world belongs
   * into steps. It may fail with the workflow's declared `error`, which is final, or with any `KagziError`.
   */
  readonly implement: <A extends Output, E, R>(
    body: (input: Input) => Effect.Effect<A, E, R> & BodyRules<NoInfer<E>, NoInfer<R>, Error>
  ) => Implementation<ServicesOf<R>>
  /**
   * Starts a run. Fails with `InvalidArgument`, and sends nothing, when the input does not fit its schema or the retry
   * policy makes no sense; with `Conflict` when `ifExists` refuses it; with `Unavailable` when the server can't be
   * reached.
   */
  readonly start: (
    input: Input,
    options?: StartOptions
  ) => Effect.Effect<WorkflowHandle.Handle<Output, Error>, KagziError.KagziError, KagziClient>
  /** Starts a run and waits for its result; fails as `start` and the handle's `result` do. */
  readonly execute: (
    input: Input,
    options?: StartOptions
  ) => Effect.Effect<Output, Error | WorkflowHandle.ResultError, KagziClient>
  /**
   * Makes a schedule that starts runs of this workflow. `Schedules` looks after it by its `scheduleId`. Fails with
   * `InvalidArgument` when the input does not fit its schema, or the expression or the time zone makes no sense.
   *
   * @example
   * ```ts
   * const daily = DailyReport.schedule({ cron: "0 6 * * *", timezone: "Europe/Berlin", input: { region: "eu" } })
   * ```
   */
  readonly schedule: (
    options: ScheduleOptions<Input>
  ) => Effect.Effect<Schedule.Description, KagziError.KagziError, KagziClient>
  /** The handle of a run, by the run's id. Asks the server nothing. */
  readonly handle: (
    runId: string,
    options?: InNamespace
  ) => Effect.Effect<WorkflowHandle.Handle<Output, Error>, never, KagziClient>
  /**
   * The handle of the active run with that id of its caller, else of the newest that has ended. `NotFound` without any,
   * `InvalidArgument` when the run is of another workflow.
   */
  readonly byId: (
    id: string,
    options?: InNamespace
  ) => Effect.Effect<WorkflowHandle.Handle<Output, Error>, KagziError.KagziError, KagziClient>
}

/** What a worker must know of a workflow. */
export interface Definition {
  readonly name: string
  readonly taskQueue: string
  readonly version: string | undefined
}

/** A workflow with its body. `R` are the services of its steps. */
export interface Implementation<out R> {
  readonly definition: Definition
  /** Executes the body, with the types of the workflow erased. */
  readonly run: (input: Run.Payload) => Effect.Effect<Run.Payload, KagziError.Detail, WorkflowRun>
  /** Only there for the type. */
  readonly "~kagzi/services": () => R
}

export declare namespace Implementation {
  /** An implementation with any services. */
  export type Any = Implementation<unknown>
  /** The services that the steps of these implementations need, all together. */
  export type Services<W> = W extends Implementation<infer R> ? R : never
}

/**
 * Defines a workflow.
 *
 * @example
 * ```ts
 * export const ProcessOrder = Workflow.make("process-order", {
 *   taskQueue: "orders",
 *   input: Schema.Struct({ orderId: Schema.String, amount: Schema.Finite }),
 *   output: Schema.Struct({ orderId: Schema.String, status: Schema.String }),
 *   error: OutOfStock
 * })
 * ```
 */
export const make = <
  In extends Codec.AnySchema = never,
  Out extends Codec.AnySchema = never,
  Err extends Codec.AnySchema = never
>(
  name: string,
  options: MakeOptions<In, Out, Err> = {}
): Workflow<TypeOf<In, void>, TypeOf<Out, void>, TypeOf<Err, never>> => {
  type Input = TypeOf<In, void>
  type Output = TypeOf<Out, void>
  type Error = TypeOf<Err, never>
  const inputCodec = (options.input === undefined ? nothing : Codec.make(options.input)) as Codec.Codec<Input>
  const outputCodec = (options.output === undefined ? nothing : Codec.make(options.output)) as Codec.Codec<Output>
  const definition: Definition = { name, taskQueue: options.taskQueue ?? name, version: options.version }
  const ofHandle: WorkflowHandle.Definition<Output> = { name, output: outputCodec, error: options.error }
  const subject = `workflow ${JSON.stringify(name)}`
  const misfit = (what: string) => (reason: string) =>
    new KagziError.InvalidArgument({
      message: `The ${what} does not fit the schema of ${subject}: ${reason}`,
      subject: "workflow",
      subjectId: name
    })

  const start = Effect.fn("Workflow.start")(function* (input: Input, startOptions: StartOptions = {}) {
    const client = yield* KagziClient
    const payload = yield* Effect.mapError(inputCodec.encode(input), misfit("input"))
    const retryPolicy = yield* policyOf(startOptions)
    const namespace = startOptions.namespace ?? client.namespace
    const started = yield* client.protocol.start({
      namespace,
      externalId: startOptions.id ?? Branch.uuid(yield* Random.Random),
      taskQueue: definition.taskQueue,
      workflowType: name,
      version: startOptions.version ?? options.version ?? "",
      input: yield* TraceContext.stamped(payload),
      ifExists: startOptions.ifExists ?? "use-active",
      ...(retryPolicy === undefined ? {} : { retryPolicy })
    })
    return WorkflowHandle.make<Output, Error>(client.protocol, ofHandle, { namespace, ...started })
  })

  const implement = <A, E, R>(body: (input: Input) => Effect.Effect<A, E, R>): Implementation<ServicesOf<R>> => ({
    definition,
    run: (payload) =>
      inputCodec.decode(payload).pipe(
        Effect.mapError((reason) => KagziError.toDetail(misfit("input")(reason))),
        Effect.flatMap((input) =>
          // The services of steps reach them through the worker; the rule on bodies leaves only the run itself.
          Effect.catch(Effect.suspend(() => body(input)) as Effect.Effect<A, E, WorkflowRun>, (error) =>
            Effect.flatMap(TypedFailure.encode(error, { schema: options.error, final: true, subject }), Effect.fail)
          )
        ),
        Effect.flatMap((output) =>
          Effect.mapError(outputCodec.encode(output), (reason) => KagziError.toDetail(misfit("output")(reason)))
        )
      ),
    "~kagzi/services": phantom
  })

  return {
    ...definition,
    implement,
    start,
    execute: Effect.fn("Workflow.execute")(function* (input, startOptions) {
      return yield* (yield* start(input, startOptions)).result
    }),
    schedule: Effect.fn("Workflow.schedule")(function* (scheduleOptions) {
      const client = yield* KagziClient
      const made = yield* client.protocol.createSchedule({
        ...(yield* fieldsOf(scheduleOptions)),
        namespace: scheduleOptions.namespace ?? client.namespace,
        taskQueue: definition.taskQueue,
        workflowType: name,
        cronExpr: scheduleOptions.cron,
        version: scheduleOptions.version ?? options.version ?? "",
        // Only where nothing is an input may it be left out.
        input: yield* Effect.mapError(inputCodec.encode(scheduleOptions.input as Input), misfit("input"))
      })
      return Schedule.describe(made)
    }),
    handle: (runId, { namespace } = {}) =>
      KagziClient.useSync((client) =>
        WorkflowHandle.make<Output, Error>(client.protocol, ofHandle, {
          namespace: namespace ?? client.namespace,
          runId,
          alreadyExists: true
        })
      ),
    byId: Effect.fn("Workflow.byId")(function* (id, options = {}) {
      const client = yield* KagziClient
      const namespace = options.namespace ?? client.namespace
      const run = yield* client.protocol.getRunByExternalId(namespace, id)
      yield* WorkflowHandle.checkType(ofHandle, run)
      return WorkflowHandle.make<Output, Error>(client.protocol, ofHandle, {
        namespace,
        runId: run.runId,
        alreadyExists: true
      })
    })
  }
}

// Implementations differ in the type of their services only.
const phantom = (): never => undefined as never

/** Without a schema there is no value: whatever a peer wrote is read as `undefined`. */
const nothing: Codec.Codec<unknown> = { encode: () => Effect.succeed(Run.nothing), decode: () => Effect.undefined }

const policyOf = ({ retries, retryPolicy }: StartOptions) => {
  if (retries === undefined && retryPolicy === undefined) return Effect.undefined
  const policy = retryPolicy ?? RetryPolicy.make({})
  return RetryPolicy.validate(retries === undefined ? policy : { ...policy, maximumAttempts: retries })
}

/**
 * Waits, for as long as it takes and through crashes. A number is milliseconds. A name makes the wait easier to find
 * among the run's steps.
 *
 * **Gotchas**
 *
 * A duration that makes no sense (negative, or beyond 10 years) is a defect that ends the run with `InvalidArgument`.
 */
export const sleep: {
  (duration: Duration.Input): Effect.Effect<void, never, WorkflowRun>
  (name: string, duration: Duration.Input): Effect.Effect<void, never, WorkflowRun>
} = (...args: readonly [Duration.Input] | readonly [string, Duration.Input]) => {
  const [name, input] = args.length === 1 ? [undefined, args[0]] : args
  return WorkflowRun.use((run) =>
    Result.match(Wait.duration(input, "Workflow.sleep"), {
      onFailure: Effect.die,
      onSuccess: (duration) => run.sleep({ ...(name === undefined ? {} : { name }), wait: { duration } })
    })
  )
}

/**
 * Waits until then; not at all when that is past. A number is milliseconds since the epoch.
 *
 * **Gotchas**
 *
 * What is no point in time, or more than 10 years away, is a defect that ends the run with `InvalidArgument`.
 */
export const sleepUntil: {
  (when: Wait.Instant): Effect.Effect<void, never, WorkflowRun>
  (name: string, when: Wait.Instant): Effect.Effect<void, never, WorkflowRun>
} = (...args: readonly [Wait.Instant] | readonly [string, Wait.Instant]) => {
  const [name, input] = args.length === 1 ? [undefined, args[0]] : args
  return WorkflowRun.use((run) =>
    Result.match(Wait.instant(input, "Workflow.sleepUntil"), {
      onFailure: Effect.die,
      onSuccess: (until) => run.sleep({ ...(name === undefined ? {} : { name }), wait: { until } })
    })
  )
}

/** The run's own time, the same on every replay: when what the body last waited for ended. */
export const now: Effect.Effect<DateTime.Utc, never, WorkflowRun> = WorkflowRun.use(() => DateTime.now)

/** A random UUID, the same on every replay. */
export const uuid: Effect.Effect<string, never, WorkflowRun> = WorkflowRun.use((run) => run.uuid)

/** What the body may know of its run. */
export const info: Effect.Effect<Info, never, WorkflowRun> = WorkflowRun.useSync((run) => run.info)

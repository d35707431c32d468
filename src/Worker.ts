/**
 * Executes workflows: takes runs from task queues, works on them, and lets them go when they wait.
 */
import { Clock, type Context, type Duration, Effect, Layer, Option, type Scope } from "effect"
import { makeIds, RandomBytes } from "./ids.ts"
import { KagziClient } from "./KagziClient.ts"
import { InvalidArgument, type KagziError } from "./KagziError.ts"
import * as RetryPolicy from "./RetryPolicy.ts"
import type * as Workflow from "./Workflow.ts"
import * as Host from "./worker/Host.ts"
import * as Pool from "./worker/Pool.ts"

/** What a worker serves and how. */
export interface Options<W extends Workflow.Implementation.Any = Workflow.Implementation.Any> {
  /** The queue the worker serves. Queues that its workflows name are served too. */
  readonly taskQueue: string
  /** At least one. Their step services become requirements of the worker. */
  readonly workflows: readonly [W, ...ReadonlyArray<W>]
  /** The client's namespace unless given. */
  readonly namespace?: string
  /** The most runs executed at a time; 100 unless given. Parked runs don't count. */
  readonly maxConcurrent?: number
  /**
   * The most runs of the worker's own queue executed at a time by all its workers together: the smallest that a live
   * worker of the queue declares counts.
   */
  readonly queueConcurrencyLimit?: number
  /** The same for each workflow type, by its name. */
  readonly workflowTypeConcurrency?: Readonly<Record<string, number>>
  /** For steps that have no policy of their own, or leave fields of it out. */
  readonly defaultStepRetry?: RetryPolicy.RetryPolicy
  /** The machine's unless given. */
  readonly hostname?: string
  /** The version of the worker's code, shown in listings. */
  readonly version?: string
  /** Whatever else tells workers apart, shown in listings. */
  readonly labels?: Readonly<Record<string, string>>
  /**
   * How long a shutdown waits for active runs to end or park, before it interrupts their steps and gives the runs back
   * to the server; 30 seconds unless given. A number is milliseconds.
   */
  readonly gracePeriod?: Duration.Input
  /** The most parked runs kept in memory to go on in place, without a replay; 1,000 unless given. */
  readonly maxCached?: number
}

/** A worker that is set up. */
export interface Worker {
  /** The id the server gave it, while it is registered. */
  readonly workerId: Effect.Effect<Option.Option<string>>
  readonly isRegistered: Effect.Effect<boolean>
  /** The runs being executed now. */
  readonly activeCount: Effect.Effect<number>
  /** Asks `run` to drain and end: no new run is taken, active ones end or park within the grace period. */
  readonly shutdown: Effect.Effect<void>
  /**
   * Registers and works until `shutdown`, or until the server asks for a drain. Interrupting it drains too. Lost
   * connections are waited out; a server that can't be reached at the start is an `Unavailable` error.
   */
  readonly run: Effect.Effect<void, KagziError>
}

/** Sets up a worker. Closing the scope shuts it down. Fails with `InvalidArgument` when an option makes no sense. */
export const make = Effect.fn("Worker.make")(function* <W extends Workflow.Implementation.Any>(
  options: Options<W>
): Effect.fn.Return<Worker, KagziError, KagziClient | Workflow.Implementation.Services<W> | Scope.Scope> {
  yield* validate(options)
  const client = yield* KagziClient
  const context = (yield* Effect.context<Workflow.Implementation.Services<W>>()) as Context.Context<never>
  const clock = yield* Clock.Clock
  const instanceId = makeIds(yield* RandomBytes, () => clock.currentTimeMillisUnsafe())()
  const pid = yield* Host.Pid
  const workflowTypes = options.workflows.map((workflow) => workflow.definition.name)
  const queues = [...new Set([options.taskQueue, ...options.workflows.map(({ definition }) => definition.taskQueue)])]
  const pool = Pool.make({
    protocol: client.protocol,
    queues: queues.map((taskQueue, index) => ({
      namespace: options.namespace ?? client.namespace,
      taskQueue,
      workflowTypes,
      hostname: options.hostname ?? Host.hostname(),
      pid,
      instanceId,
      version: options.version ?? "",
      labels: options.labels ?? {},
      ...(index > 0 || options.queueConcurrencyLimit === undefined
        ? {}
        : { queueConcurrencyLimit: options.queueConcurrencyLimit }),
      workflowTypeConcurrency: options.workflowTypeConcurrency ?? {}
    })),
    bodies: new Map(options.workflows.map((workflow) => [workflow.definition.name, workflow.run])),
    context,
    maxConcurrent: options.maxConcurrent ?? 100,
    cacheSize: options.maxCached ?? 1_000,
    gracePeriod: options.gracePeriod ?? "30 seconds",
    ...(options.defaultStepRetry === undefined ? {} : { defaultStepRetry: options.defaultStepRetry })
  })
  yield* Effect.addFinalizer(() => pool.shutdown)
  return {
    workerId: Effect.sync(() => Option.fromUndefinedOr(pool.workerId())),
    isRegistered: Effect.sync(() => pool.workerId() !== undefined),
    activeCount: Effect.sync(pool.activeCount),
    shutdown: pool.shutdown,
    run: pool.run
  }
})

/**
 * Registers a worker and works until it is interrupted, which drains it: no new run is taken, active runs end or park
 * within the grace period, heartbeats go on until then, and it deregisters.
 *
 * **Example**
 *
 * ```ts
 * import { NodeRuntime } from "@effect/platform-node"
 * import { Effect } from "effect"
 * import { KagziClient, Worker } from "kagzi"
 *
 * Worker.run({ taskQueue: "orders", workflows: [ProcessOrderLive] }).pipe(
 *   Effect.provide(KagziClient.layerConfig),
 *   NodeRuntime.runMain
 * )
 * ```
 */
export const run = <W extends Workflow.Implementation.Any>(
  options: Options<W>
): Effect.Effect<never, KagziError, KagziClient | Workflow.Implementation.Services<W>> =>
  make(options).pipe(
    Effect.flatMap((worker) => worker.run),
    Effect.scoped,
    // The server asked for the drain; a worker that runs for good then waits to be stopped.
    Effect.andThen(Effect.never)
  )

/** A worker that runs for as long as the layer lives. */
export const layer = <W extends Workflow.Implementation.Any>(
  options: Options<W>
): Layer.Layer<never, KagziError, KagziClient | Workflow.Implementation.Services<W>> =>
  Layer.effectDiscard(Effect.forkScoped(run(options)))

const validate = (options: Options): Effect.Effect<void, InvalidArgument> => {
  const limits = [
    ["maxConcurrent", options.maxConcurrent],
    ["queueConcurrencyLimit", options.queueConcurrencyLimit],
    ["maxCached", options.maxCached === 0 ? undefined : options.maxCached],
    ...Object.entries(options.workflowTypeConcurrency ?? {}).map(
      ([type, limit]) => [`workflowTypeConcurrency["${type}"]`, limit] as const
    )
  ] as const
  const names = options.workflows.map((workflow) => workflow.definition.name)
  const twice = names.find((name, index) => names.indexOf(name) !== index)
  const wrong = limits.find(([, limit]) => limit !== undefined && !(Number.isInteger(limit) && limit > 0))
  const policy = options.defaultStepRetry === undefined ? undefined : RetryPolicy.problem(options.defaultStepRetry)
  const problem =
    names.length === 0
      ? "workflows: at least one is needed"
      : twice !== undefined
        ? `workflows: "${twice}" is there twice`
        : options.taskQueue === ""
          ? "taskQueue: must not be empty"
          : wrong !== undefined
            ? `${wrong[0]}: must be a whole number above 0`
            : policy !== undefined
              ? `defaultStepRetry: ${policy}`
              : undefined
  return problem === undefined
    ? Effect.void
    : Effect.fail(new InvalidArgument({ message: `Invalid worker options: ${problem}` }))
}

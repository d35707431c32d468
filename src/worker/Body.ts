/**
 * The side of an execution that its body sees: durable operations, and the run's own time and chance.
 */
import { Clock, Context, Duration, Effect, Exit, type Fiber, Random, Result, Scheduler, Tracer } from "effect"
import type * as KagziError from "../KagziError.ts"
import type { BeginStep } from "../protocol/Protocol.ts"
import * as RetryPolicy from "../RetryPolicy.ts"
import * as Run from "../Run.ts"
import type { Payload, Step } from "../Run.ts"
import * as BodyClock from "./BodyClock.ts"
import * as Branch from "./Branch.ts"
import * as Failure from "./Failure.ts"
import * as Mismatch from "./Mismatch.ts"
import { type Branches, type Shape, type StepSpec, WorkflowRun } from "./WorkflowRun.ts"

/** A workflow with its types erased. */
export type Body = (input: Payload) => Effect.Effect<Payload, KagziError.Detail, WorkflowRun>

/** A durable operation that has its identity. */
export interface Request {
  readonly name: string
  readonly branch: Branch.Branch
  readonly begin: BeginStep
  /** What the body runs in where it asked; undefined where it has provided nothing itself. */
  readonly caller: Context.Context<never> | undefined
  /** One attempt of the step's code; of no use for sleeps. */
  readonly code: Effect.Effect<Payload, KagziError.Detail>
}

export interface Options {
  readonly body: Body
  readonly run: Run.Run
  /** The steps on record when this pass begins. */
  readonly history: ReadonlyArray<Step>
  /** The worker's services, with the scheduler of this run. */
  readonly context: Context.Context<never>
  readonly defaultStepRetry: RetryPolicy.RetryPolicy | undefined
  readonly request: (request: Request) => Effect.Effect<Payload, KagziError.Detail>
}

/** Marks steps whose place in their branch is up to the order in which its fibers run. */
const concurrentMark = "kagzi.concurrent"

/** The names on record of each branch, in the order in which its own fiber first asked for them. */
const recordedOrder = (history: ReadonlyArray<Step>): ReadonlyMap<string, ReadonlyArray<string>> =>
  Map.groupBy(
    history.filter(({ input }) => input.metadata[concurrentMark] === undefined).map(({ name }) => name),
    Branch.pathOf
  )

/** Starts the body from its beginning, in a fiber of its own. */
export const start = (options: Options): Fiber.Fiber<Payload, KagziError.Detail> => {
  const { run } = options
  const startedAt = run.startedAt ?? run.createdAt
  const main = Branch.make("", startedAt, run.runId)
  const recorded = recordedOrder(options.history)
  const forks = Branch.recordedForks(options.history.map(({ name }) => Branch.pathOf(name)))
  const recall = (branch: Branch.Branch) => {
    branch.recorded = { operations: recorded.get(branch.path)?.length ?? 0, forks: forks.get(branch.path) ?? 0 }
  }
  recall(main)
  const durable = (
    operation: Branch.Operation,
    begin: Omit<BeginStep, "name">,
    code: Request["code"]
  ): Effect.Effect<Payload, KagziError.Detail> =>
    Effect.withFiber((fiber) => {
      const branch = fiber.getRef(Branch.CurrentBranch)
      if (branch === undefined) return Effect.die(new Branch.AmbiguousStep({ message: Branch.insideStep(operation) }))
      const identified = Branch.identify(branch, fiber.id, operation)
      if (Result.isFailure(identified)) return Effect.die(identified.failure)
      const { foreign, wireName: name } = identified.success
      if (!foreign) {
        const expected = recorded.get(branch.path)?.[branch.operations++]
        if (expected !== undefined && expected !== name) {
          return Effect.die(new Branch.NonDeterministic({ message: Mismatch.names(expected, name) }))
        }
      }
      const input = foreign
        ? { ...begin.input, metadata: { ...begin.input.metadata, [concurrentMark]: "true" } }
        : begin.input
      return options.request({
        name,
        branch,
        begin: { ...begin, input, name },
        caller: fiber.context === context ? undefined : fiber.context,
        code
      })
    })

  const step = (spec: StepSpec) => {
    const retryPolicy = RetryPolicy.inherit(spec.retry, options.defaultStepRetry)
    const { timeout } = spec
    const code =
      timeout === undefined
        ? spec.execute
        : Effect.timeoutOrElse(spec.execute, {
            duration: timeout,
            orElse: () => Effect.fail(Failure.timeout(spec.name, timeout))
          })
    return durable(
      { name: spec.name, fallback: "step", key: spec.key, site: spec.site },
      { kind: "FUNCTION", input: spec.input, ...(retryPolicy === undefined ? {} : { retryPolicy }) },
      code
    )
  }

  const sleep: Shape["sleep"] = ({ name, wait }) => {
    if ("duration" in wait && Duration.isLessThanOrEqualTo(wait.duration, Duration.zero)) return Effect.void
    return durable(
      { name, fallback: "sleep", key: undefined, site: undefined },
      {
        kind: "SLEEP",
        input: Run.nothing,
        sleep: "until" in wait ? { until: wait.until } : { millis: Math.ceil(Duration.toMillis(wait.duration)) }
      },
      Effect.succeed(Run.nothing)
    ).pipe(Effect.catch(Effect.die), Effect.asVoid)
  }

  const branches = (combinator: string): Effect.Effect<Branches> =>
    Effect.withFiber((fiber) => {
      const parent = fiber.getRef(Branch.CurrentBranch)
      const operation = { name: undefined, fallback: combinator, key: undefined, site: undefined }
      if (parent === undefined) return Effect.die(new Branch.AmbiguousStep({ message: Branch.insideStep(operation) }))
      if (fiber.id !== parent.owner) return Effect.die(new Branch.AmbiguousStep({ message: Branch.unnamed(operation) }))
      const place = ++parent.forks
      return Effect.succeed(
        (key) => (effect) =>
          Effect.withFiber((child) => {
            const branch = Branch.child(parent, place, key, run.runId)
            branch.owner = child.id
            recall(branch)
            return Effect.provideService(effect, Branch.CurrentBranch, branch).pipe(
              Effect.onExit((exit) =>
                Effect.sync(() => {
                  if (!Exit.hasInterrupts(exit)) parent.time = Math.max(parent.time, branch.time)
                })
              )
            )
          })
      )
    })

  const own: Shape = {
    info: {
      runId: run.runId,
      id: run.externalId,
      namespace: run.namespace,
      taskQueue: run.taskQueue,
      workflowType: run.workflowType,
      version: run.version,
      attempt: run.attempts,
      scheduleId: run.scheduleId
    },
    step,
    sleep,
    branches,
    uuid: Effect.withFiber((fiber) => Effect.succeed(Branch.uuid((fiber.getRef(Branch.CurrentBranch) ?? main).random)))
  }

  const context = options.context.pipe(
    Context.add(
      Clock.Clock,
      BodyClock.make(startedAt, (duration) => sleep({ wait: { duration } }))
    ),
    Context.add(Random.Random, BodyClock.random(main.random)),
    Context.add(Branch.CurrentBranch, main),
    Context.add(WorkflowRun, own)
  )
  const body = Effect.withFiber<Payload, KagziError.Detail, WorkflowRun>((self) => {
    main.owner = self.id
    return options.body(run.input)
  })
  return Effect.runForkWith(context)(body)
}

/** What a step sees in place of what its body does, given the worker's own services. */
export const outside = (context: Context.Context<never>): Context.Context<never> =>
  Context.make(Clock.Clock, Context.get(context, Clock.Clock)).pipe(
    Context.add(Random.Random, Context.get(context, Random.Random)),
    Context.add(Scheduler.Scheduler, Context.get(context, Scheduler.Scheduler)),
    Context.add(Tracer.Tracer, Context.get(context, Tracer.Tracer)),
    Context.add(Branch.CurrentBranch, undefined)
  )

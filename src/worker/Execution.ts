/**
 * One run on one worker: its body, the steps it waits for, and how the two are kept in step with the record.
 *
 * The body runs in a fiber of its own, on the run's clock and random numbers. A durable operation looks itself up in the
 * record or begins on the server, and its end is delivered in the recorded order. When every branch waits, the run is
 * parked by letting the body go: its fiber stays blocked and is either resumed in place when the same worker claims the
 * run next, or dropped. It is never interrupted for that, so nothing in the body can notice.
 */
import { Clock, Context, Data, Deferred, Duration, Effect, Exit, Fiber, Random, Result, Scheduler } from "effect"
import * as KagziError from "../KagziError.ts"
import type { Held, StepReply, Task, WorkerLink } from "../protocol/Protocol.ts"
import * as RetryPolicy from "../RetryPolicy.ts"
import * as Run from "../Run.ts"
import type { Payload, Step, StepKind } from "../Run.ts"
import * as BodyClock from "./BodyClock.ts"
import * as Branch from "./Branch.ts"
import { DeliveryQueue } from "./Delivery.ts"
import * as Failure from "./Failure.ts"
import * as Mismatch from "./Mismatch.ts"
import { RunScheduler } from "./RunScheduler.ts"
import { type Branches, CurrentStep, type Info, type Shape, type StepInfo, type StepSpec, WorkflowRun } from "./WorkflowRun.ts"

/**
 * How an activation ended: the run waits on the server and this execution can go on when it is claimed next; the run
 * has ended; or it is no longer this worker's, and nothing more was written.
 */
export type Outcome = "parked" | "ended" | "lost"

/** A workflow with its types erased. */
export type Body = (input: Payload) => Effect.Effect<Payload, KagziError.Detail, WorkflowRun>

export interface Options {
  readonly link: WorkerLink
  readonly task: Task
  readonly body: Body
  /** The worker's services, under which bodies and steps run. */
  readonly context: Context.Context<never>
  readonly defaultStepRetry?: RetryPolicy.RetryPolicy
}

export interface Execution {
  readonly link: WorkerLink
  readonly held: () => Held
  /** Starts the body, or goes on in place with a later claim of the run. Succeeds when it lets go of the run again. */
  readonly activate: (task: Task) => Effect.Effect<Outcome>
  /** The lease is gone: interrupts the steps, lets the body go, writes nothing more. */
  readonly abandon: Effect.Effect<void>
  /** The run was cancelled: interrupts the steps and the body. */
  readonly cancel: Effect.Effect<void>
}

/** Where an operation is: on its way to or from the server, waiting for its time, ended, or never to end. */
type Phase = "busy" | "waiting" | "ended" | "dead"

type BeginStep = Parameters<WorkerLink["beginStep"]>[1]

interface Operation {
  readonly name: string
  readonly branch: Branch.Branch
  readonly begin: BeginStep
  readonly attempt: Effect.Effect<Payload, KagziError.Detail>
  readonly resume: (effect: Effect.Effect<Payload, KagziError.Detail>) => void
  phase: Phase
  driver: Fiber.Fiber<void> | undefined
  /** As the server last answered. */
  step: Step | undefined
}

/** The run is no longer this worker's. */
class Lost extends Data.TaggedError("Lost")<{ readonly cause: KagziError.KagziError | undefined }> {}

/** Marks steps whose place in their branch is up to the order in which its fibers run. */
const foreignMark = "kagzi.concurrent"

/** Makes the execution of a run; nothing happens before `activate`. */
export const make = (options: Options): Execution => {
  const { body, context, link } = options
  const run = options.task.run
  const startedAt = run.startedAt ?? run.createdAt
  const fork = Effect.runForkWith(context)
  const realClock = Context.get(context, Clock.Clock)
  /** What a step sees instead of what its body does. */
  const outside = Context.make(Clock.Clock, realClock).pipe(
    Context.add(Random.Random, Context.get(context, Random.Random)),
    Context.add(Scheduler.Scheduler, Context.get(context, Scheduler.Scheduler)),
    Context.add(Branch.CurrentBranch, undefined)
  )

  const operations = new Set<Operation>()
  const deliveries = new DeliveryQueue()
  const records = new Map<string, Step>()
  const recordedOrder = new Map<string, Array<string>>()
  let held: Held = options.task
  let claimedAt = options.task.claimedAt
  let claimedAtLocal = 0
  let bodyFiber: Fiber.Fiber<Payload, KagziError.Detail> | undefined
  let outcome = Deferred.makeUnsafe<Outcome>()
  let bodyExit: Exit.Exit<Payload, KagziError.Detail> | undefined
  let state: "active" | "parking" | "parked" | "closing" | "closed" = "parked"
  let unnumbered = 0
  let cancelling = 0
  let activity = 0
  let pumping = false
  let checking = false

  const scheduler = new RunScheduler(Context.get(context, Scheduler.Scheduler), () => pump())
  const main = Branch.make("", startedAt, run.runId)

  // ---------------------------------------------------------------------------------------------------------------
  // Events to the body
  // ---------------------------------------------------------------------------------------------------------------

  /** Delivers what is due as soon as the present turn of the event loop has run its course. */
  const pump = () => {
    activity++
    if (pumping || state === "closed") return
    pumping = true
    queueMicrotask(() => {
      pumping = false
      while (state === "active" && cancelling === 0 && scheduler.atRest) {
        const next = deliveries.take()
        if (next === undefined) break
        activity++
        next.deliver()
      }
      checkRest()
    })
  }

  const isBusy = () => {
    if (cancelling > 0 || !scheduler.atRest) return true
    for (const operation of operations) if (operation.phase === "busy") return true
    return false
  }

  /** When nothing has happened for a few turns of the event loop, the body waits for nothing but time. */
  const checkRest = () => {
    if (checking || state !== "active" || isBusy()) return
    checking = true
    fork(
      Effect.gen(function* () {
        let before: number
        do {
          before = activity
          yield* Effect.yieldNow
          yield* Effect.yieldNow
          yield* Effect.yieldNow
        } while (before !== activity)
        checking = false
        if (state !== "active" || isBusy()) return
        const stuck = deliveries.takeEarliest()
        if (stuck !== undefined) {
          stuck.deliver()
          pump()
        } else if ([...operations].some((operation) => operation.phase === "waiting")) {
          yield* park
        }
      })
    )
  }

  const park = Effect.gen(function* () {
    state = "parking"
    for (const operation of operations) operation.driver?.interruptUnsafe()
    const suspended = yield* Effect.result(link.suspend(held))
    if (state !== "parking") return
    if (Result.isFailure(suspended)) {
      yield* lose(suspended.failure)
    } else if (suspended.success) {
      state = "parked"
      finish("parked")
    } else {
      state = "active"
      for (const operation of operations) if (operation.phase !== "dead") drive(operation, true)
    }
  })

  // ---------------------------------------------------------------------------------------------------------------
  // One operation: from the record or through the server, to its end
  // ---------------------------------------------------------------------------------------------------------------

  const drive = (operation: Operation, ask: boolean) => {
    activity++
    operation.phase = "busy"
    if (!ask && settle(operation, records.get(operation.name))) return
    operation.driver = fork(
      follow(operation, ask).pipe(
        Effect.catchTag("Lost", ({ cause }) => lose(cause)),
        Effect.catch((defect) => Effect.sync(() => end(operation, Effect.die(defect)))),
        Effect.ensuring(Effect.sync(pump))
      )
    )
  }

  /** Takes what the record says of an operation; false when the server must be asked or a time awaited. */
  const settle = (operation: Operation, step: Step | undefined): boolean => {
    if (step === undefined) return false
    operation.step = step
    const difference = Mismatch.compare(operation.begin, step)
    if (difference !== undefined) {
      end(operation, Effect.die(difference))
      return true
    }
    if (step.cancelled) {
      operation.phase = "dead"
      return true
    }
    if (step.status !== "COMPLETED" && step.status !== "FAILED") return false
    const { branch, resume } = operation
    operation.phase = "ended"
    deliveries.add({
      sequence: step.sequence ?? ++unnumbered,
      deliver: () => {
        operations.delete(operation)
        branch.time = Math.max(branch.time, step.finishedAt ?? 0)
        resume(
          step.status === "COMPLETED"
            ? Effect.succeed(step.output ?? Run.nothing)
            : Effect.fail(step.error ?? Failure.unknown)
        )
      }
    })
    pump()
    return true
  }

  const end = (operation: Operation, effect: Effect.Effect<Payload, KagziError.Detail>) => {
    operations.delete(operation)
    operation.phase = "ended"
    if (state !== "closed") operation.resume(effect)
  }

  const follow = Effect.fnUntraced(function* (operation: Operation, ask: boolean) {
    let step = ask ? undefined : records.get(operation.name)
    let dueIn =
      step?.dueAt === undefined ? 0 : step.dueAt - claimedAt - (realClock.currentTimeMillisUnsafe() - claimedAtLocal)
    while (true) {
      if (step !== undefined) {
        if (settle(operation, step)) return
        if (step.dueAt !== undefined && dueIn > 0) {
          operation.phase = "waiting"
          pump()
          yield* Effect.sleep(Duration.millis(Math.ceil(dueIn)))
          operation.phase = "busy"
          activity++
        }
      }
      const begun = yield* command(operation, link.beginStep(held, operation.begin))
      const recorded = begun.execute ? yield* attempt(operation, begun.step) : begun
      step = recorded.step
      dueIn = recorded.dueIn ?? 0
    }
  })

  /** Runs the step's code once, in a fiber of its own under the real clock, and records how it ended. */
  const attempt = Effect.fnUntraced(function* (operation: Operation, { attempt, stepId }: Step) {
    const info: StepInfo = {
      runId: run.runId,
      name: operation.name,
      attempt,
      idempotencyKey: `${run.runId}/${operation.name}`
    }
    const code = operation.attempt.pipe(
      Effect.provideService(CurrentStep, info),
      Effect.annotateLogs({ run_id: run.runId, step: operation.name, attempt })
    )
    const exit = yield* Effect.flatMap(Effect.forkChild(code, { startImmediately: true }), Fiber.await)
    return yield* Exit.isSuccess(exit)
      ? command(operation, link.completeStep(held, stepId, exit.value)).pipe(
          // The server can't take such an output, and never will.
          Effect.catchTag("InvalidArgument", (error) => fail(operation, stepId, KagziError.toDetail(error)))
        )
      : fail(operation, stepId, Failure.fromCause(exit.cause))
  })

  const fail = Effect.fnUntraced(function* (operation: Operation, stepId: string, error: KagziError.Detail) {
    const reply = yield* command(operation, link.failStep(held, stepId, error)).pipe(
      Effect.catchTag("InvalidArgument", (refused) =>
        command(operation, link.failStep(held, stepId, KagziError.toDetail(refused)))
      )
    )
    if (reply.released) return yield* new Lost({ cause: undefined })
    return reply
  })

  /**
   * A command on a step. Once sent it is waited for, even if the operation is interrupted meanwhile: only the answer
   * says what there is to cancel. Bad arguments are the operation's own; anything else means that the run is lost.
   */
  const command = <A extends StepReply>(operation: Operation, effect: Effect.Effect<A, KagziError.KagziError>) =>
    effect.pipe(
      Effect.tap((reply) =>
        Effect.sync(() => {
          operation.step = reply.step
        })
      ),
      Effect.mapError((error) =>
        error._tag === "InvalidArgument"
          ? error
          : error.metadata["kagzi.mismatch"] === undefined
            ? new Lost({ cause: error })
            : new Branch.NonDeterministic({ message: error.message })
      ),
      Effect.uninterruptible
    )

  /** The branch of an operation lost a race: it goes on when the record says that the operation never ends. */
  const interrupted = (operation: Operation): Effect.Effect<void> =>
    Effect.suspend(() => {
      operations.delete(operation)
      if (state === "closed" || operation.phase === "dead") return Effect.void
      cancelling++
      return Effect.gen(function* () {
        if (operation.driver !== undefined) yield* Fiber.interrupt(operation.driver)
        const { step } = operation
        if (state === "closed" || step === undefined || step.cancelled) return
        if (step.sequence !== undefined) deliveries.skip(step.sequence)
        records.set(operation.name, { ...step, cancelled: true })
        yield* Effect.catch(link.cancelStep(held, step.stepId), lose)
      }).pipe(
        Effect.provideContext(context),
        Effect.ensuring(
          Effect.sync(() => {
            cancelling--
            pump()
          })
        )
      )
    })

  // ---------------------------------------------------------------------------------------------------------------
  // What the body sees
  // ---------------------------------------------------------------------------------------------------------------

  const durable = (
    kind: StepKind,
    identity: Branch.Operation,
    begin: Omit<BeginStep, "name" | "kind">,
    attemptOf: (caller: Context.Context<never>) => Effect.Effect<Payload, KagziError.Detail>
  ): Effect.Effect<Payload, KagziError.Detail> =>
    Effect.withFiber((fiber) => {
      if (state === "closed") return Effect.interrupt
      const branch = fiber.getRef(Branch.CurrentBranch)
      if (branch === undefined) return Effect.die(new Branch.AmbiguousStep({ message: Branch.insideStep(identity) }))
      const identified = Branch.identify(branch, fiber.id, identity)
      if (Result.isFailure(identified)) return Effect.die(identified.failure)
      const { foreign, wireName } = identified.success
      if (!foreign) {
        const recorded = recordedOrder.get(branch.path)?.[branch.operations++]
        if (recorded !== undefined && recorded !== wireName) {
          return Effect.die(new Branch.NonDeterministic({ message: Mismatch.names(recorded, wireName) }))
        }
      }
      const input = foreign
        ? { ...begin.input, metadata: { ...begin.input.metadata, [foreignMark]: "true" } }
        : begin.input
      return Effect.callback<Payload, KagziError.Detail>((resume) => {
        const operation: Operation = {
          name: wireName,
          branch,
          begin: { ...begin, input, name: wireName, kind },
          attempt: attemptOf(fiber.context),
          resume,
          phase: "waiting",
          driver: undefined,
          step: undefined
        }
        operations.add(operation)
        if (state === "active") drive(operation, false)
        return interrupted(operation)
      })
    })

  const step = (spec: StepSpec) => {
    const retryPolicy = RetryPolicy.inherit(spec.retry, options.defaultStepRetry)
    return durable(
      "FUNCTION",
      { name: spec.name, fallback: "step", key: spec.key, site: spec.site },
      {
        input: spec.input,
        ...(retryPolicy === undefined ? {} : { retryPolicy })
      },
      (caller) => {
        const code = Effect.provideContext(spec.execute, Context.merge(caller, outside))
        return spec.timeout === undefined
          ? code
          : Effect.timeoutOrElse(code, {
              duration: spec.timeout,
              orElse: () => Effect.fail(Failure.timeout(spec.name, spec.timeout!))
            })
      }
    )
  }

  const sleep: Shape["sleep"] = ({ name, wait }) =>
    Effect.suspend(() => {
      if ("duration" in wait && Duration.isZero(wait.duration)) return Effect.void
      const timer = "until" in wait ? { until: wait.until } : { millis: Math.ceil(Duration.toMillis(wait.duration)) }
      return durable(
        "SLEEP",
        { name, fallback: "sleep", key: undefined, site: undefined },
        { input: Run.nothing, sleep: timer },
        () => Effect.succeed(Run.nothing)
      ).pipe(Effect.catch(Effect.die), Effect.asVoid)
    })

  const branches = (combinator: string): Effect.Effect<Branches> =>
    Effect.withFiber((fiber) => {
      const parent = fiber.getRef(Branch.CurrentBranch)
      const operation = { name: undefined, fallback: combinator, key: undefined, site: undefined }
      if (parent === undefined) return Effect.die(new Branch.AmbiguousStep({ message: Branch.insideStep(operation) }))
      if (fiber.id !== parent.owner) {
        return Effect.die(new Branch.AmbiguousStep({ message: Branch.unnamed(operation) }))
      }
      const place = ++parent.forks
      return Effect.succeed(
        (key: string | number) =>
          <A, E, R>(effect: Effect.Effect<A, E, R>) =>
            Effect.withFiber<A, E, R>((child) => {
              const branch = Branch.child(parent, place, key, run.runId)
              branch.owner = child.id
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

  const info: Info = {
    runId: run.runId,
    id: run.externalId,
    namespace: run.namespace,
    taskQueue: run.taskQueue,
    workflowType: run.workflowType,
    version: run.version,
    attempt: run.attempts,
    scheduleId: run.scheduleId
  }

  const uuid = Effect.withFiber((fiber) =>
    Effect.succeed(Branch.uuid((fiber.getRef(Branch.CurrentBranch) ?? main).random))
  )

  const bodyContext = context.pipe(
    Context.add(
      Clock.Clock,
      BodyClock.make(startedAt, (duration) => sleep({ wait: { duration } }))
    ),
    Context.add(Random.Random, BodyClock.random(main.random)),
    Context.add(Scheduler.Scheduler, scheduler),
    Context.add(Branch.CurrentBranch, main),
    Context.add(WorkflowRun, { info, step, sleep, branches, uuid })
  )

  // ---------------------------------------------------------------------------------------------------------------
  // Beginning and end
  // ---------------------------------------------------------------------------------------------------------------

  const start = () => {
    for (const { input, name } of options.task.history) {
      if (input.metadata[foreignMark] !== undefined) continue
      const path = Branch.pathOf(name)
      const order = recordedOrder.get(path)
      if (order === undefined) recordedOrder.set(path, [name])
      else order.push(name)
    }
    const fiber = Effect.runForkWith(bodyContext)(
      Effect.withFiber<Payload, KagziError.Detail, WorkflowRun>((self) => {
        main.owner = self.id
        return body(run.input)
      })
    )
    bodyFiber = fiber
    fiber.addObserver((exit) => {
      bodyExit = exit
      if (state === "active") fork(conclude(exit))
    })
  }

  const conclude = Effect.fnUntraced(function* (exit: Exit.Exit<Payload, KagziError.Detail>) {
    state = "closing"
    const refused = (error: KagziError.KagziError) =>
      error._tag === "InvalidArgument"
        ? link.failRun(held, { ...KagziError.toDetail(error), nonRetryable: true })
        : Effect.fail(error)
    const recorded = Exit.isSuccess(exit)
      ? Effect.catch(link.completeRun(held, exit.value), refused)
      : Effect.catch(link.failRun(held, Failure.fromCause(exit.cause)), refused)
    const result = yield* Effect.result(recorded)
    if (Result.isFailure(result)) return yield* lose(result.failure)
    close()
    finish("ended")
  })

  const close = () => {
    state = "closed"
    for (const operation of operations) operation.driver?.interruptUnsafe()
    operations.clear()
  }

  const finish = (how: Outcome) => {
    Deferred.doneUnsafe(outcome, Exit.succeed(how))
  }

  const lose = (cause: KagziError.KagziError | undefined) =>
    Effect.suspend(() => {
      if (state === "closed") return Effect.void
      const ended = cause?.metadata["kagzi.run"]
      close()
      if (ended !== undefined) bodyFiber?.interruptUnsafe()
      finish("lost")
      return cause === undefined
        ? Effect.void
        : Effect.logDebug("Let go of a run", cause.message).pipe(Effect.annotateLogs({ run_id: run.runId }))
    })

  return {
    link,
    held: () => held,
    abandon: lose(undefined),
    cancel: Effect.suspend(() => {
      if (state !== "closed") {
        close()
        bodyFiber?.interruptUnsafe()
        finish("lost")
      }
      return Effect.void
    }),
    activate: (task) =>
      Effect.suspend(() => {
        held = { runId: task.runId, lease: task.lease }
        claimedAt = task.claimedAt
        claimedAtLocal = realClock.currentTimeMillisUnsafe()
        outcome = Deferred.makeUnsafe()
        state = "active"
        records.clear()
        for (const record of task.history) records.set(record.name, record)
        if (bodyFiber === undefined) start()
        else if (bodyExit !== undefined) fork(conclude(bodyExit))
        else for (const operation of operations) if (operation.phase === "waiting") drive(operation, false)
        pump()
        return Deferred.await(outcome)
      }).pipe(Effect.onInterrupt(() => lose(undefined)))
  }
}

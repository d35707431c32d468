/**
 * One run on one worker: its body, the steps it waits for, and how the two are kept in step with the record.
 *
 * The body runs in a fiber of its own, on the run's clock and random numbers. A durable operation looks itself up in the
 * record or begins on the server, and its end is delivered in the recorded order. When every branch waits, the run is
 * parked by letting the body go: its fiber stays blocked and is either resumed in place when the same worker claims the
 * run next, or dropped. It is never interrupted for that, so nothing in the body can notice.
 */
import { type Cause, Clock, Context, Deferred, Effect, Exit, Fiber, Result, Scheduler, Tracer } from "effect"
import * as KagziError from "../KagziError.ts"
import { runStatusMark } from "../marks.ts"
import type { BeginStep, Held, Task, WorkerLink } from "../protocol/Protocol.ts"
import type * as RetryPolicy from "../RetryPolicy.ts"
import * as Run from "../Run.ts"
import type { Payload, Step } from "../Run.ts"
import * as Body from "./Body.ts"
import { DeliveryQueue } from "./Delivery.ts"
import * as Driver from "./Driver.ts"
import type { Operation, Phase } from "./Driver.ts"
import * as Failure from "./Failure.ts"
import * as Mismatch from "./Mismatch.ts"
import { RunScheduler } from "./RunScheduler.ts"
import * as Tracing from "./Tracing.ts"

/**
 * How an activation ended: the run waits on the server and this execution can go on when it is claimed next; the run
 * has ended; or it is no longer this worker's, and nothing more was written.
 */
export type Outcome = "parked" | "ended" | "lost"

export interface Options {
  readonly link: WorkerLink
  readonly task: Task
  readonly body: Body.Body
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
  /** After one of those: waits until the steps have ended, with what they do about an interruption. */
  readonly quiet: Effect.Effect<void>
}

/** How long a body may wait for something that is not durable before it counts as stuck. */
const pureWait = "1 second"

const fewTurns = Effect.yieldNow.pipe(Effect.andThen(Effect.yieldNow), Effect.andThen(Effect.yieldNow))

/**
 * Makes the execution of a run; nothing happens before `activate`.
 *
 * There is no generator function in here: V8 gives each one, when it is first called, a hidden class in the old
 * generation that refers to it. That would keep the whole execution there until a major collection.
 */
export const make = (options: Options): Execution => {
  const { context, link } = options
  const run = options.task.run
  const trace = Tracing.ofRun(run)
  const tracer = Tracing.ofBody(context, () => activation ?? trace.root)
  const realClock = Context.get(context, Clock.Clock)

  const operations = new Set<Operation>()
  const deliveries = new DeliveryQueue()
  const records = new Map<string, Step>()
  let held: Held = options.task
  let claimedAt = options.task.claimedAt
  let claimedAtLocal = 0
  let activation: Tracer.Span | undefined
  let firstActivation: Tracer.AnySpan = trace.root
  let isMarked = false
  let fork = Effect.runForkWith(context)
  let bodyFiber: Fiber.Fiber<Payload, KagziError.Detail> | undefined
  let outcome = Deferred.makeUnsafe<Outcome>()
  let bodyExit: Exit.Exit<Payload, KagziError.Detail> | undefined
  let state: "active" | "parking" | "parked" | "closing" | "closed" = "parked"
  /** The run has ended, here or from outside. */
  let stopped = false
  let unnumbered = 0
  /** Operations by phase. */
  const count: Record<Phase, number> = { busy: 0, waiting: 0, ended: 0, dead: 0 }
  let cancelling = 0
  let activity = 0
  /** What was being done when the run was let go. */
  const leaving: Array<Fiber.Fiber<unknown, unknown>> = []
  let pumping = false
  let checking = false

  const scheduler = new RunScheduler(Context.get(context, Scheduler.Scheduler), () => pump())

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

  const isBusy = () => cancelling > 0 || count.busy > 0 || !scheduler.atRest

  const enter = (operation: Operation, phase: Phase) => {
    activity++
    if (!operations.has(operation)) return
    count[operation.phase]--
    count[phase]++
    operation.phase = phase
  }

  /** Forgets an operation whose fate is settled. */
  const remove = (operation: Operation) => {
    if (operations.delete(operation)) count[operation.phase]--
  }

  /** When nothing has happened for a few turns of the event loop, the body waits for nothing but time. */
  const checkRest = () => {
    if (checking || state !== "active" || isBusy()) return
    checking = true
    fork(orLose(atRest(activity)))
  }

  const atRest = (before: number): Effect.Effect<void> =>
    Effect.andThen(
      fewTurns,
      Effect.suspend(() => {
        if (before !== activity) return atRest(activity)
        checking = false
        if (state !== "active" || isBusy()) return Effect.void
        const stuck = deliveries.takeEarliest()
        if (stuck === undefined) return count.waiting > 0 ? park : count.dead > 0 ? endDead(before) : Effect.void
        stuck.deliver()
        pump()
        return Effect.void
      })
    )

  /** Nothing will ever wake a body that waits only for what the record says never ends: its code has changed. */
  const endDead = (before: number) =>
    Effect.andThen(
      Effect.sleep(pureWait),
      Effect.sync(() => {
        if (state !== "active" || before !== activity) return
        for (const operation of [...operations]) {
          if (operation.phase === "dead") end(operation, Effect.die(Mismatch.lostRace(operation.name)))
        }
        pump()
      })
    )

  const park = Effect.suspend(() => {
    state = "parking"
    for (const operation of operations) operation.driver?.interruptUnsafe()
    return Effect.flatMap(Effect.result(link.suspend(held)), (suspended) => {
      if (state !== "parking") return Effect.void
      if (Result.isFailure(suspended)) return lose(suspended.failure)
      if (suspended.success) {
        state = "parked"
        finish("parked")
        return Effect.void
      }
      state = "active"
      for (const operation of operations) if (operation.phase === "waiting") drive(operation, true)
      return bodyExit === undefined ? Effect.void : conclude(bodyExit)
    })
  })

  // ---------------------------------------------------------------------------------------------------------------
  // One operation: from the record or through the server, to its end
  // ---------------------------------------------------------------------------------------------------------------

  const drive = (operation: Operation, ask: boolean) => {
    enter(operation, "busy")
    const step = ask ? undefined : records.get(operation.name)
    if (step === undefined) return driver.ask(operation, !ask)
    const sinceClaim = realClock.currentTimeMillisUnsafe() - claimedAtLocal
    driver.goOn(operation, step, (step.dueAt ?? claimedAt) - claimedAt - sinceClaim)
  }

  /** Takes what the record says of an operation; false when the server must be asked or a time awaited. */
  const settle = (operation: Operation, step: Step): boolean => {
    operation.step = step
    const difference = Mismatch.compare(operation.begin, step)
    if (difference !== undefined) {
      end(operation, Effect.die(difference))
      return true
    }
    if (step.cancelled) {
      enter(operation, "dead")
      return true
    }
    if (step.status !== "COMPLETED" && step.status !== "FAILED") return false
    Tracing.sleep(context, trace, activation ?? trace.root, step, claimedAt)
    const { branch, resume } = operation
    enter(operation, "ended")
    deliveries.add({
      sequence: step.sequence ?? ++unnumbered,
      deliver: () => {
        remove(operation)
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
    remove(operation)
    if (state !== "closed") operation.resume(effect)
  }

  /** The first new step of an activation tells later ones which it was. */
  const beginOf = ({ begin, name }: Operation): BeginStep => {
    if (isMarked || activation === undefined || records.has(name)) return begin
    isMarked = true
    return Tracing.marked(begin, activation)
  }

  const driver = Driver.make({
    link,
    held: () => held,
    context,
    clock: realClock,
    trace,
    activations: () => ({ present: activation ?? trace.root, first: firstActivation }),
    fork: (effect, options) => fork(effect, options),
    beginOf,
    isWanted: (operation) => operations.has(operation),
    enter,
    settle,
    end: (operation, defect) => end(operation, Effect.die(defect)),
    lose: (cause) => fork(lose(cause)),
    break: (cause) => fork(orLose(Effect.failCause(cause as Cause.Cause<never>))),
    pump
  })

  /**
   * The branch of an operation lost a race: it goes on when the record says that the operation never ends. That is seen
   * to in a fiber of its own, because the body's clock and scheduler are no use for talking to the server.
   */
  const interrupted = (operation: Operation): Effect.Effect<void> =>
    Effect.suspend(() => {
      remove(operation)
      if (state === "closed" || operation.phase === "dead") return Effect.void
      cancelling++
      const cancellation = (operation.driver === undefined ? Effect.void : Fiber.interrupt(operation.driver)).pipe(
        Effect.andThen(
          Effect.suspend(() => {
            const { step } = operation
            if (state === "closed" || step === undefined || step.cancelled) return Effect.void
            if (step.sequence !== undefined) deliveries.skip(step.sequence)
            records.set(operation.name, { ...step, cancelled: true })
            return Effect.catch(link.cancelStep(held, step.stepId), lose)
          })
        ),
        Effect.ensuring(
          Effect.sync(() => {
            cancelling--
            pump()
          })
        )
      )
      return Effect.asVoid(Fiber.await(fork(cancellation)))
    })

  /** A durable operation of the body, from its request to its delivery. */
  const request = (asked: Body.Request): Effect.Effect<Payload, KagziError.Detail> =>
    Effect.suspend(() => {
      // A body that is only let go must not notice; one whose run has ended is on its way out.
      if (state === "closed") return stopped ? Effect.interrupt : Effect.never
      return Effect.callback<Payload, KagziError.Detail>((resume) => {
        const operation: Operation = { ...asked, resume, phase: "waiting", driver: undefined, step: undefined }
        operations.add(operation)
        count[operation.phase]++
        if (state === "active") drive(operation, false)
        return interrupted(operation)
      })
    })

  // ---------------------------------------------------------------------------------------------------------------
  // Beginning and end
  // ---------------------------------------------------------------------------------------------------------------

  const start = () => {
    const fiber = Body.start({
      body: options.body,
      run,
      history: options.task.history,
      context: Tracing.inBody(Context.add(context, Scheduler.Scheduler, scheduler), trace, firstActivation, tracer),
      defaultStepRetry: options.defaultStepRetry,
      request
    })
    bodyFiber = fiber
    fiber.addObserver((exit) => {
      bodyExit = exit
      if (state === "active") fork(orLose(conclude(exit)))
    })
  }

  const refused = (error: KagziError.KagziError) =>
    error._tag === "InvalidArgument"
      ? link.failRun(held, { ...KagziError.toDetail(error), nonRetryable: true })
      : Effect.fail(error)

  const conclude = (exit: Exit.Exit<Payload, KagziError.Detail>) =>
    Effect.suspend(() => {
      state = "closing"
      stopped = true
      const recorded = Exit.isSuccess(exit)
        ? link.completeRun(held, exit.value)
        : link.failRun(held, Failure.fromCause(exit.cause))
      return Effect.matchEffect(Effect.catch(recorded, refused), {
        onFailure: lose,
        onSuccess: () =>
          Effect.sync(() => {
            Tracing.run(context, trace, activation ?? trace.root, {
              createdAt: run.createdAt,
              outcome: Exit.isSuccess(exit) ? "completed" : "failed",
              now: realClock.currentTimeMillisUnsafe()
            })
            close()
            finish("ended")
          })
      })
    })

  const close = () => {
    state = "closed"
    for (const { driver } of operations) {
      if (driver === undefined) continue
      driver.interruptUnsafe()
      leaving.push(driver)
    }
    operations.clear()
  }

  const stop = () => {
    stopped = true
    bodyFiber?.interruptUnsafe()
  }

  const finish = (how: Outcome) => {
    Deferred.doneUnsafe(outcome, Exit.succeed(how))
  }

  const lose = (cause: KagziError.KagziError | undefined) =>
    Effect.suspend(() => {
      if (state === "closed") return Effect.void
      close()
      if (cause?.metadata[runStatusMark] !== undefined) stop()
      finish("lost")
      return cause === undefined
        ? Effect.void
        : Effect.logDebug("Let go of a run", cause.message).pipe(Effect.annotateLogs(trace.annotations))
    })

  /** Whatever goes wrong in here must not leave the run in the hands of a worker that does nothing for it. */
  const orLose = (effect: Effect.Effect<void>): Effect.Effect<void> =>
    Effect.catchDefect(effect, (defect) =>
      Effect.andThen(Effect.logError("Letting go of a run after an unforeseen error", defect), lose(undefined))
    )

  return {
    link,
    held: () => held,
    abandon: lose(undefined),
    quiet: Effect.suspend(() => Effect.asVoid(Fiber.awaitAll(leaving))),
    cancel: Effect.suspend(() => {
      if (state !== "closed") {
        close()
        stop()
        finish("lost")
      }
      return Effect.void
    }),
    activate: (task) =>
      Effect.flatMap(Tracing.activation(trace, task, activation), (span) => {
        activation = span
        fork = Effect.runForkWith(Context.add(context, Tracer.ParentSpan, span))
        isMarked = false
        held = { runId: task.runId, lease: task.lease }
        claimedAt = task.claimedAt
        claimedAtLocal = realClock.currentTimeMillisUnsafe()
        outcome = Deferred.makeUnsafe()
        state = "active"
        records.clear()
        for (const record of task.history) {
          records.set(record.name, record)
          if (record.cancelled && record.sequence !== undefined) deliveries.skip(record.sequence)
        }
        if (bodyFiber === undefined) {
          firstActivation = span
          start()
        } else if (bodyExit !== undefined) fork(orLose(conclude(bodyExit)))
        else for (const operation of operations) if (operation.phase === "waiting") drive(operation, false)
        pump()
        return Deferred.await(outcome)
      }).pipe(Effect.onInterrupt(() => lose(undefined)))
  }
}

/**
 * Brings the durable operations of a run to their ends: asks the server for them, waits for their times, runs the code
 * of steps and records how it ended.
 *
 * Each of these is a fiber of its own, and what follows is decided when it has ended. Commands are waited for once they
 * are sent, even when the operation is dropped meanwhile: only the answer says what there is to cancel.
 */
import { Cause, type Clock, Context, Duration, Effect, Exit, type Fiber, Result, type Tracer } from "effect"
import * as KagziError from "../KagziError.ts"
import { mismatchMark } from "../marks.ts"
import type { BeginStep, Held, StepReply, WorkerLink } from "../protocol/Protocol.ts"
import type { Payload, Step } from "../Run.ts"
import * as Body from "./Body.ts"
import * as Branch from "./Branch.ts"
import * as Failure from "./Failure.ts"
import * as Tracing from "./Tracing.ts"
import { CurrentStep, type StepInfo } from "./WorkflowRun.ts"

/** Where an operation is: on its way to or from the server, waiting for its time, ended, or never to end. */
export type Phase = "busy" | "waiting" | "ended" | "dead"

export interface Operation extends Body.Request {
  readonly resume: (effect: Effect.Effect<Payload, KagziError.Detail>) => void
  phase: Phase
  /** What is being done about it at the moment. */
  driver: Fiber.Fiber<unknown, unknown> | undefined
  /** As the server last answered. */
  step: Step | undefined
}

/** What a driver knows of the run, and whom it tells of what it finds. */
export interface Needs {
  readonly link: WorkerLink
  readonly held: () => Held
  /** The worker's services, under which steps run. */
  readonly context: Context.Context<never>
  readonly clock: Clock.Clock
  readonly trace: Tracing.RunTrace
  /** The activation at work, and the one in which the body began. */
  readonly activations: () => { readonly present: Tracer.AnySpan; readonly first: Tracer.AnySpan }
  readonly fork: <A, E>(effect: Effect.Effect<A, E>, options?: Effect.RunOptions) => Fiber.Fiber<A, E>
  /** What to send for an operation. */
  readonly beginOf: (operation: Operation) => BeginStep
  /** Whether the body still waits for the operation. */
  readonly isWanted: (operation: Operation) => boolean
  readonly enter: (operation: Operation, phase: Phase) => void
  /** Takes what the record says of an operation; false when it has not ended. */
  readonly settle: (operation: Operation, step: Step) => boolean
  /** Ends an operation whose code has changed or makes no sense. */
  readonly end: (operation: Operation, defect: unknown) => void
  /** The run is no longer this worker's. */
  readonly lose: (cause: KagziError.KagziError | undefined) => void
  /** Something unforeseen went wrong. */
  readonly break: (cause: Cause.Cause<unknown>) => void
  /** Something has happened. */
  readonly pump: () => void
}

export interface Driver {
  /** Asks the server for an operation; of a fresh one nothing is on record. */
  readonly ask: (operation: Operation, fresh: boolean) => void
  /** Goes on from what is on record; `dueIn` is how many milliseconds are left until its time. */
  readonly goOn: (operation: Operation, step: Step, dueIn: number) => void
}

export const make = (needs: Needs): Driver => {
  const { clock, context, link, trace } = needs
  const { runId } = trace
  const forSteps = Tracing.ofSteps(context, trace)
  let lastCaller: { readonly context: Context.Context<never>; readonly forSteps: Context.Context<never> } | undefined

  const follow = <A, E>(
    operation: Operation,
    fiber: Fiber.Fiber<A, E>,
    ended: (exit: Exit.Exit<A, E>) => void
  ): void => {
    operation.driver = fiber
    fiber.addObserver((exit) => {
      if (needs.isWanted(operation)) ended(exit)
      needs.pump()
    })
  }

  /** Bad arguments are the operation's own; anything else that is refused means that the run is lost. */
  const command = <A extends StepReply>(
    operation: Operation,
    effect: Effect.Effect<A, KagziError.KagziError>,
    answered: (reply: A) => void,
    invalid: (error: KagziError.InvalidArgument) => void
  ): void => {
    const sent = Effect.map(effect, (reply) => {
      operation.step = reply.step
      return reply
    })
    follow(operation, needs.fork(sent, { uninterruptible: true }), (exit) => {
      if (Exit.isSuccess(exit)) return answered(exit.value)
      const error = Result.getOrUndefined(Cause.findError(exit.cause))
      if (error === undefined) needs.break(exit.cause)
      else if (error._tag === "InvalidArgument") invalid(error)
      else if (error.metadata[mismatchMark] === undefined) needs.lose(error)
      else needs.end(operation, new Branch.NonDeterministic({ message: error.message }))
    })
  }

  const ask: Driver["ask"] = (operation, fresh) => {
    const begin = needs.beginOf(operation)
    const ahead = fresh ? link.beginAhead(needs.held(), begin) : undefined
    if (ahead !== undefined) {
      operation.step = ahead
      return execute(operation, ahead)
    }
    command(
      operation,
      link.beginStep(needs.held(), begin),
      (begun) => (begun.execute ? execute(operation, begun.step) : goOnAfter(operation, begun)),
      (error) => needs.end(operation, error)
    )
  }

  const goOn: Driver["goOn"] = (operation, step, dueIn) => {
    if (needs.settle(operation, step)) return
    if (step.dueAt === undefined || dueIn <= 0) return ask(operation, false)
    needs.enter(operation, "waiting")
    needs.pump()
    follow(operation, needs.fork(Effect.sleep(Duration.millis(Math.ceil(dueIn)))), (exit) => {
      // interrupted when the run is parked
      if (Exit.isFailure(exit)) return
      needs.enter(operation, "busy")
      ask(operation, false)
    })
  }

  const goOnAfter = (operation: Operation, { dueIn = 0, step }: StepReply) => goOn(operation, step, dueIn)

  /** What a step runs in that is asked for in there. Steps that follow one another are asked for in the same. */
  const around = (caller: Context.Context<never> | undefined) => {
    if (caller === undefined) return forSteps
    if (lastCaller?.context !== caller) {
      lastCaller = { context: caller, forSteps: Context.merge(caller, Body.outside(context)) }
    }
    return lastCaller.forSteps
  }

  /** Runs the step's code once, under the real clock, and records how it ended. */
  const execute = (operation: Operation, { attempt, stepId }: Step): void => {
    const { caller, code, name } = operation
    const info: StepInfo = { runId, name, attempt, idempotencyKey: `${runId}/${name}` }
    const span = Effect.runSyncWith(context)(Tracing.step(trace, { caller, ...needs.activations() }, info))
    const inStep = Context.add(Tracing.inStep(around(caller), span, info), CurrentStep, info)
    const fiber = Effect.runForkWith(inStep)(Effect.andThen(Tracing.executing, code))
    fiber.addObserver((exit) => Tracing.endStep(span, clock.currentTimeNanosUnsafe(), exit))
    follow(operation, fiber, (exit) => {
      if (Exit.isFailure(exit)) return fail(operation, stepId, Failure.fromCause(exit.cause))
      command(
        operation,
        link.completeStep(needs.held(), stepId, exit.value),
        (reply) => goOnAfter(operation, reply),
        // The server can't take such an output, and never will.
        (error) => fail(operation, stepId, KagziError.toDetail(error))
      )
    })
  }

  const fail = (operation: Operation, stepId: string, error: KagziError.Detail, again = true): void =>
    command(
      operation,
      link.failStep(needs.held(), stepId, error),
      (reply) => (reply.released ? needs.lose(undefined) : goOnAfter(operation, reply)),
      (refused) =>
        again ? fail(operation, stepId, KagziError.toDetail(refused), false) : needs.end(operation, refused)
    )

  return { ask, goOn }
}

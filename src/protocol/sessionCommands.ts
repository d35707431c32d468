/**
 * The commands of a registered worker over a session.
 *
 * A fresh step's beginning is not waited for: its code runs while the server hears of it, and its end is waited for. So
 * a step costs one wait, and the server can write it once. What has gone wrong with the beginning is known by then,
 * because the commands of a run are answered in their order. Where the code has ended before its beginning was sent, one
 * command tells of both.
 */
import { Effect, Result } from "effect"
import type { PollTaskResponse, StepRecord } from "../../gen/kagzi/v1/worker_pb.ts"
import * as KagziError from "../KagziError.ts"
import { makeIds } from "../ids.ts"
import { leaseMark, runStatusMark } from "../marks.ts"
import * as RetryPolicy from "../RetryPolicy.ts"
import type { Payload, Step } from "../Run.ts"
import * as codec from "./codec.ts"
import * as runs from "./codecRun.ts"
import * as enums from "./enums.ts"
import type { BeginStep, Held, StepReply, Task, WorkerOptions } from "./Protocol.ts"
import {
  type Begin,
  type Command,
  type Event,
  giveBack,
  type Session,
  type Unusable,
  unavailable,
  unexpected
} from "./session.ts"
import type { Begun, Tasks } from "./sessionTasks.ts"
import type { Services } from "./services.ts"
import type { Commands } from "./unaryCommands.ts"
import * as Extended from "./unaryExtended.ts"

/** The largest payload of a step that is told of ahead, in bytes: a larger one is more likely to be refused. */
const largestOptimistic = 64 * 1024

export interface Options {
  readonly session: Session
  readonly services: Services
  readonly worker: WorkerOptions
  readonly workerId: string
  readonly tasks: Tasks
  /** The largest payload that the server takes, in bytes. */
  readonly maxPayloadBytes: number
  /** Whether the leases can be taken for good without asking. */
  readonly isTrusted: (held: Held) => boolean
  readonly now: () => number
  /** Draws random bytes for ids. */
  readonly draw: (size: number) => Uint8Array
}

type Outcome<A> = Effect.Effect<A, KagziError.KagziError>

export const make = (options: Options): Commands => {
  const { session, tasks, worker } = options
  const { namespace } = worker
  // ids that sort keep the rows of steps side by side in the server's indexes
  const newId = makeIds(options.draw, options.now)
  const unary = Extended.make(options.services, worker, options.workerId)

  /** Sends a command on a run. What its answer says is read at once, before what comes after it. */
  const command = <A>(
    held: Held,
    sent: Command,
    read: (event: Event) => Outcome<A>,
    refused: (error: KagziError.KagziError) => KagziError.KagziError = (error) => error
  ): Outcome<A> =>
    Effect.callback((resume) => {
      const handle = session.send("run", sent, held.lease, {
        answered: (event) => resume(read(event)),
        failed: (error) => resume(Effect.fail(refused(lostWith(held, unavailable(error)))))
      })
      return Effect.sync(() => session.withdraw(handle))
    })

  /** A refusal for the state of the run or its lease says that it is not held any more. */
  const lostWith = (held: Held, error: KagziError.KagziError): KagziError.KagziError => {
    if (error.metadata[leaseMark] !== undefined || error.metadata[runStatusMark] !== undefined) tasks.remove(held)
    return error
  }

  const fail = (error: KagziError.KagziError): Outcome<never> => Effect.fail(error)

  const readRecord = (held: Held, record: StepRecord | undefined): codec.Read<StepReply> =>
    record === undefined ? runs.missing("record") : runs.readStepRecord(record, { namespace, runId: held.runId })

  // -------------------------------------------------------------------------------------------------------------------
  // Tasks
  // -------------------------------------------------------------------------------------------------------------------

  // Made once, because a generator function that is made for each task costs more than what it does (see Execution.ts).
  const reading = function* (held: Held, { claimedAt, history, input, workflow }: PollTaskResponse) {
    const run = yield* workflow === undefined ? runs.missing("workflow") : runs.readWorkflow(workflow)
    const steps: Array<Step> = []
    for (const record of history) steps.push((yield* readRecord(held, record)).step)
    const at = claimedAt === undefined ? options.now() : yield* codec.readTimestamp(claimedAt, "claimed_at")
    return { ...held, run: { ...run, input: codec.readPayload(input) }, history: steps, claimedAt: at }
  }

  const readTask = (response: PollTaskResponse): Outcome<Task> => {
    const { historyPageToken, runId } = response
    const held = { runId, lease: Number(response.leaseEpoch) }
    const read = Result.gen(() => reading(held, response))
    if (historyPageToken === "" || Result.isFailure(read)) return codec.answered(read)
    return Effect.map(unary.restOfHistory(held, historyPageToken), (rest) => ({
      ...read.success,
      history: [...read.success.history, ...rest]
    }))
  }

  const poll: Commands["poll"] = Effect.flatMap(tasks.poll, (response) =>
    Effect.asSome(readTask(response)).pipe(
      // The run is claimed by now: if it can't be read, another worker may try at once.
      Effect.onError(() =>
        Effect.sync(() => {
          const held = { runId: response.runId, lease: Number(response.leaseEpoch) }
          tasks.remove(held)
          giveBack(session, namespace, held)
        })
      )
    )
  )

  // -------------------------------------------------------------------------------------------------------------------
  // Steps
  // -------------------------------------------------------------------------------------------------------------------

  const beginOf = (held: Held, step: BeginStep, stepId: string): Command => {
    const { runId } = held
    const { sleep } = step
    if (sleep === undefined) return { case: "begin", namespace, runId, step, stepId }
    const value = {
      namespace,
      runId,
      stepName: step.name,
      kind: enums.stepKind.toProto(step.kind),
      input: codec.payload(step.input),
      stepId,
      ...(step.retryPolicy === undefined ? {} : { retryPolicy: codec.retryPolicy(step.retryPolicy) }),
      ...("millis" in sleep ? { sleep: codec.duration(sleep.millis) } : { sleepUntil: codec.timestamp(sleep.until) })
    }
    return { case: "beginStep", value }
  }

  /** Answers may leave out what the one who asked knows. */
  const named = (reply: StepReply, { input, kind, name }: Pick<Step, "input" | "kind" | "name">): StepReply =>
    reply.step.name === "" ? { ...reply, step: { ...reply.step, name, kind, input } } : reply

  const remember = (held: Held, step: Step): Begun => {
    const begun: Begun = { step, refused: undefined }
    tasks.get(held)?.steps.set(step.stepId, begun)
    return begun
  }

  /** A step that was begun as it was asked for. */
  const firstAttempt = (held: Held, { input, kind, name }: BeginStep, stepId: string): Step => {
    const now = options.now()
    return {
      namespace,
      runId: held.runId,
      stepId,
      name,
      kind,
      status: "RUNNING",
      attempt: 1,
      input,
      createdAt: now,
      startedAt: now,
      cancelled: false
    }
  }

  const readBegun = (held: Held, asked: BeginStep, stepId: string, event: Event): ReturnType<Commands["beginStep"]> => {
    if (event.case === "done")
      return Effect.succeed({ step: remember(held, firstAttempt(held, asked, stepId)).step, execute: true })
    if (event.case !== "step") return fail(unexpected(event))
    const reply = readRecord(held, event.value.record)
    if (Result.isFailure(reply)) return codec.answered(Result.fail(reply.failure))
    const { execute } = event.value
    const { dueIn, step } = named(reply.success, asked)
    if (execute) remember(held, step)
    return Effect.succeed({ step, execute, ...(dueIn === undefined ? {} : { dueIn }) })
  }

  const isSmall = ({ data }: Payload): boolean =>
    data.byteLength <= Math.min(largestOptimistic, options.maxPayloadBytes)

  const begunBefore = ({ name }: Step): KagziError.KagziError =>
    new KagziError.PreconditionFailed({ message: `The step was begun before: ${JSON.stringify(name)}` })

  const beginAhead: Commands["beginAhead"] = (held, step) => {
    if (step.kind !== "FUNCTION" || !isSmall(step.input) || tasks.get(held) === undefined) return undefined
    if (!options.isTrusted(held)) return undefined
    if (step.retryPolicy !== undefined && RetryPolicy.problem(step.retryPolicy) !== undefined) return undefined
    const made = firstAttempt(held, step, newId())
    const begun = remember(held, made)
    const command: Begin = { case: "begin", namespace, runId: held.runId, step, stepId: made.stepId }
    const sent = session.send("run", command, held.lease, {
      answered: (event) => {
        if (event.case === "done" || (event.case === "step" && event.value.record?.stepId === made.stepId)) return
        begun.refused = begunBefore(made)
      },
      failed: (error) => {
        begun.refused = lostWith(held, unavailable(error))
      }
    })
    begun.ahead = { sent, command }
    return made
  }

  const beginStep: Commands["beginStep"] = (held, step) => {
    const begin = Effect.suspend((): ReturnType<Commands["beginStep"]> => {
      const stepId = newId()
      return command(held, beginOf(held, step, stepId), (event) => readBegun(held, step, stepId, event))
    })
    return step.retryPolicy === undefined ? begin : Effect.andThen(RetryPolicy.validate(step.retryPolicy), begin)
  }

  /** A step that was completed is answered without what is known here. */
  const readCompleted = (known: Step, record: StepRecord, output: Step["output"]): codec.Read<StepReply> => {
    const finishedAt =
      record.finishedAt === undefined
        ? Result.succeed(undefined)
        : codec.readTimestamp(record.finishedAt, "finished_at")
    if (Result.isFailure(finishedAt)) return Result.fail(finishedAt.failure)
    const sequence = Number(record.sequence)
    return Result.succeed({
      step: {
        ...known,
        status: "COMPLETED",
        attempt: record.attemptNumber === 0 ? known.attempt : record.attemptNumber,
        ...(record.output === undefined
          ? output === undefined
            ? {}
            : { output }
          : { output: codec.readPayload(record.output) }),
        ...(finishedAt.success === undefined ? {} : { finishedAt: finishedAt.success }),
        ...(sequence > 0 ? { sequence } : {}),
        cancelled: record.cancelled
      }
    })
  }

  const complete = (
    held: Held,
    stepId: string,
    output: Payload,
    begun: Begun,
    read: (event: Event) => Outcome<StepReply>
  ): Outcome<StepReply> =>
    command(
      held,
      { case: "complete", namespace, runId: held.runId, stepId, output },
      read,
      (error) => begun.refused ?? error
    )

  const completeStep: Commands["completeStep"] = (held, stepId, output) =>
    Effect.suspend(() => {
      const steps = tasks.get(held)?.steps
      const begun = steps?.get(stepId)
      // Begun under another lease: its answer needs all that the other way brings.
      if (begun === undefined) return unary.completeStep(held, stepId, output)
      if (begun.refused !== undefined) return fail(begun.refused)
      const read = (event: Event): Outcome<StepReply> => {
        if (event.case !== "step") return fail(unexpected(event))
        const { record } = event.value
        if (record === undefined) return codec.answered(runs.missing("record"))
        steps?.delete(stepId)
        // Only one of another id is named.
        if (record.stepId !== "" && record.stepId !== stepId) return fail(begunBefore(begun.step))
        return codec.answered(
          enums.stepStatus.fromProto(record.status) === "COMPLETED"
            ? readCompleted(begun.step, record, output)
            : Result.map(readRecord(held, record), (reply) => named(reply, begun.step))
        )
      }
      const { ahead } = begun
      if (ahead === undefined || !isSmall(output)) return complete(held, stepId, output, begun, read)
      return Effect.callback((resume) => {
        const refused = (error: KagziError.KagziError | Unusable): void => {
          begun.refused = lostWith(held, unavailable(error))
          resume(fail(begun.refused))
        }
        const reply = { answered: (event: Event) => resume(read(event)), failed: refused }
        const isBoth = session.replace(ahead.sent, { ...ahead.command, output }, reply)
        if (!isBoth) resume(complete(held, stepId, output, begun, read))
      })
    })

  const failStep: Commands["failStep"] = (held, stepId, error) =>
    Effect.suspend(() => {
      const steps = tasks.get(held)?.steps
      const begun = steps?.get(stepId)
      if (begun?.refused !== undefined) return fail(begun.refused)
      const value = { namespace, runId: held.runId, stepId, error: codec.errorDetail(error) }
      return command(
        held,
        { case: "failStep", value },
        (event) => {
          if (event.case !== "step") return fail(unexpected(event))
          const { record, retry } = event.value
          steps?.delete(stepId)
          return Effect.map(codec.answered(readRecord(held, record)), (reply) => ({
            ...(begun === undefined ? reply : named(reply, begun.step)),
            retry,
            released: false
          }))
        },
        (refusal) => begun?.refused ?? refusal
      )
    })

  const cancelStep: Commands["cancelStep"] = (held, stepId) =>
    command(held, { case: "cancelStep", value: { namespace, runId: held.runId, stepId } }, () => Effect.void)

  // -------------------------------------------------------------------------------------------------------------------
  // Runs
  // -------------------------------------------------------------------------------------------------------------------

  /** A command with which the worker lets go of the run. */
  const ending = (held: Held, sent: Command): Outcome<void> =>
    command(held, sent, () => {
      tasks.remove(held)
      return Effect.void
    })

  const suspend: Commands["suspend"] = (held) =>
    command(held, { case: "suspendRun", value: { namespace, runId: held.runId } }, (event) => {
      if (event.case !== "suspended") return fail(unexpected(event))
      if (event.value.suspended) tasks.remove(held)
      return Effect.succeed(event.value.suspended)
    })

  return {
    poll,
    beginAhead,
    beginStep,
    completeStep,
    failStep,
    cancelStep,
    suspend,
    release: (held) => ending(held, { case: "releaseRun", value: { namespace, runId: held.runId } }),
    completeRun: (held, output) => ending(held, { case: "completeRun", namespace, runId: held.runId, output }),
    failRun: (held, error) =>
      ending(held, {
        case: "failWorkflow",
        value: { namespace, runId: held.runId, error: codec.errorDetail(error) }
      })
  }
}

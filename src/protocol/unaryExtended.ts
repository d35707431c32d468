/** Tasks and commands of a worker under leases: for servers that have our additions to the contract. */
import { Clock, Effect, Option } from "effect"
import type { PollTaskResponse, StepRecord } from "../../gen/kagzi/v1/worker_pb.ts"
import type { KagziError } from "../KagziError.ts"
import * as RetryPolicy from "../RetryPolicy.ts"
import type { Step } from "../Run.ts"
import * as codec from "./codec.ts"
import * as runs from "./codecRun.ts"
import * as enums from "./enums.ts"
import { leaseHeader } from "./extensions.ts"
import type { Held, StepReply, WorkerOptions } from "./Protocol.ts"
import { persistently } from "./retry.ts"
import type { Services } from "./services.ts"
import { type Commands, commandTimeout, farewell, persistence, pollTimeout } from "./unaryCommands.ts"

/** The commands of a registered worker, and the pages of a history that continue those of a task. */
export const make = (
  services: Services,
  options: WorkerOptions,
  workerId: string
): Commands & {
  readonly restOfHistory: (held: Held, pageToken: string) => Effect.Effect<ReadonlyArray<Step>, KagziError>
} => {
  const { execution, workers } = services
  const { namespace } = options
  const persist = persistently(persistence)

  const under = (held: Held, timeoutMillis = commandTimeout) => ({
    headers: { [leaseHeader]: String(held.lease) },
    timeoutMillis
  })

  const reply = (held: Held, record: StepRecord | undefined): Effect.Effect<StepReply, KagziError> =>
    codec.answered(
      record === undefined ? runs.missing("record") : runs.readStepRecord(record, { namespace, runId: held.runId })
    )

  const releaseWith = (held: Held, timeoutMillis?: number) =>
    Effect.asVoid(execution.releaseRun({ namespace, runId: held.runId }, under(held, timeoutMillis)))

  const readSteps = (held: Held, records: ReadonlyArray<StepRecord>) =>
    Effect.forEach(records, (record) => Effect.map(reply(held, record), ({ step }) => step))

  const restOfHistory = Effect.fnUntraced(function* (held: Held, firstToken: string) {
    const history: Array<Step> = []
    let pageToken = firstToken
    while (pageToken !== "") {
      const page = yield* persist(execution.getHistory({ namespace, runId: held.runId, pageToken }, under(held)))
      for (const step of yield* readSteps(held, page.steps)) history.push(step)
      pageToken = page.nextPageToken
    }
    return history
  })

  const readTask = Effect.fnUntraced(function* (held: Held, response: PollTaskResponse) {
    const run = yield* codec.answered(
      response.workflow === undefined ? runs.missing("workflow") : runs.readWorkflow(response.workflow)
    )
    const claimedAt =
      response.claimedAt === undefined
        ? yield* Clock.currentTimeMillis
        : yield* codec.answered(codec.readTimestamp(response.claimedAt, "claimed_at"))
    return {
      ...held,
      run: { ...run, input: codec.readPayload(response.input) },
      history: [
        ...(yield* readSteps(held, response.history)),
        ...(yield* restOfHistory(held, response.historyPageToken))
      ],
      claimedAt
    }
  })

  const poll: Commands["poll"] = Effect.gen(function* () {
    const response = yield* workers.pollTask(
      { namespace, workerId, taskQueue: options.taskQueue, workflowTypes: [...options.workflowTypes] },
      { timeoutMillis: pollTimeout }
    )
    if (response.runId === "") return Option.none()
    const lease = yield* codec.answered(codec.safeNumber(response.leaseEpoch, "lease_epoch"))
    const held = { runId: response.runId, lease }
    const task = yield* readTask(held, response).pipe(
      // The run is claimed by now: if its history can't be had, another worker may try at once.
      Effect.onError(() => Effect.ignore(releaseWith(held, farewell)))
    )
    return Option.some(task)
  })

  const beginStep: Commands["beginStep"] = Effect.fnUntraced(function* (held, step) {
    if (step.retryPolicy !== undefined) yield* RetryPolicy.validate(step.retryPolicy)
    const { sleep } = step
    const response = yield* persist(
      workers.beginStep(
        {
          namespace,
          runId: held.runId,
          stepName: step.name,
          kind: enums.stepKind.toProto(step.kind),
          input: codec.payload(step.input),
          ...(step.retryPolicy === undefined ? {} : { retryPolicy: codec.retryPolicy(step.retryPolicy) }),
          ...(sleep === undefined
            ? {}
            : "millis" in sleep
              ? { sleep: codec.duration(sleep.millis) }
              : { sleepUntil: codec.timestamp(sleep.until) })
        },
        under(held)
      )
    )
    return { ...(yield* reply(held, response.record)), execute: response.shouldExecute }
  })

  const completeStep: Commands["completeStep"] = Effect.fnUntraced(function* (held, stepId, output) {
    const response = yield* persist(
      workers.completeStep({ namespace, runId: held.runId, stepId, output: codec.payload(output) }, under(held))
    )
    return yield* reply(held, response.record)
  })

  const failStep: Commands["failStep"] = Effect.fnUntraced(function* (held, stepId, error) {
    const response = yield* persist(
      workers.failStep({ namespace, runId: held.runId, stepId, error: codec.errorDetail(error) }, under(held))
    )
    return { ...(yield* reply(held, response.record)), retry: response.scheduledRetry, released: false }
  })

  const cancelStep: Commands["cancelStep"] = (held, stepId) =>
    Effect.asVoid(persist(execution.cancelStep({ namespace, runId: held.runId, stepId }, under(held))))

  const suspend: Commands["suspend"] = (held) =>
    Effect.map(
      persist(execution.suspendRun({ namespace, runId: held.runId }, under(held))),
      (response) => response.suspended
    )

  const completeRun: Commands["completeRun"] = (held, output) =>
    Effect.asVoid(
      persist(workers.completeWorkflow({ namespace, runId: held.runId, output: codec.payload(output) }, under(held)))
    )

  const failRun: Commands["failRun"] = (held, error) =>
    Effect.asVoid(
      persist(workers.failWorkflow({ namespace, runId: held.runId, error: codec.errorDetail(error) }, under(held)))
    )

  return {
    restOfHistory,
    poll,
    beginAhead: () => undefined,
    beginStep,
    completeStep,
    failStep,
    cancelStep,
    suspend,
    release: (held) => persist(releaseWith(held)),
    completeRun,
    failRun
  }
}

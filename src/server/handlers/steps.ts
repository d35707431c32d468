/**
 * Steps of a run, as its worker reports them.
 *
 * A peer that sends a lease knows the records of this project. Others get the fields of the plain contract alone, so
 * that their answers stay within the size they take.
 */
import { Effect } from "effect"
import { WorkerService } from "../../../gen/kagzi/v1/worker_pb.ts"
import { Engine } from "../../engine/Engine.ts"
import * as codec from "../../protocol/codec.ts"
import { step as stepMessage, stepRecord } from "../../protocol/codecRun.ts"
import { nothing, type Step } from "../../Run.ts"
import { invalid, ofRun, uuid } from "../checks.ts"
import * as Commands from "../commands.ts"
import { leaseOf, requestedCommand } from "../commands.ts"
import { entry, Recorded } from "../Handler.ts"

const methods = WorkerService.method

const record = Effect.fnUntraced(function* (command: { readonly lease?: number }, step: Step) {
  if (command.lease === undefined) return {}
  return { record: stepRecord(step, yield* (yield* Engine).now) }
})

const beginStep = entry(
  methods.beginStep,
  Effect.fnUntraced(function* (request, call) {
    const lease = yield* leaseOf(call)
    const command = yield* requestedCommand((making) => Commands.beginStep(request, lease, making))
    const { execute, step } = yield* (yield* Engine).execute(command)
    // the plain contract has no place for a recorded failure but the error of the call
    if (lease === undefined && !execute && step.status === "FAILED" && step.error !== undefined) {
      return yield* new Recorded({ detail: step.error })
    }
    return {
      stepId: step.stepId,
      shouldExecute: execute,
      ...(step.status === "COMPLETED" ? { cachedOutput: codec.payload(step.output ?? nothing) } : {}),
      ...(yield* record(command, step))
    }
  })
)

const completeStep = entry(
  methods.completeStep,
  Effect.fnUntraced(function* (request, call) {
    const lease = yield* leaseOf(call)
    const command = yield* requestedCommand((making) => Commands.completeStep(request, lease, making))
    const { step } = yield* (yield* Engine).execute(command)
    return { step: stepMessage(step), ...(yield* record(command, step)) }
  })
)

const failStep = entry(
  methods.failStep,
  Effect.fnUntraced(function* (request, call) {
    const lease = yield* leaseOf(call)
    const command = yield* requestedCommand((making) => Commands.failStep(request, lease, making))
    const { retry, step } = yield* (yield* Engine).execute(command)
    return {
      scheduledRetry: retry,
      ...(retry && step.dueAt !== undefined ? { retryAt: codec.timestamp(step.dueAt) } : {}),
      ...(yield* record(command, step))
    }
  })
)

const sleep = entry(
  methods.sleep,
  Effect.fnUntraced(function* (request, call) {
    const run = yield* ofRun(request)
    const lease = yield* leaseOf(call)
    const stepId = yield* uuid(request.stepId, "step_id")
    if (request.duration === undefined) return yield* invalid("duration is missing")
    const millis = yield* codec.requested(codec.readDuration(request.duration, "duration"))
    const command = { _tag: "SleepStep", ...run, ...(lease === undefined ? {} : { lease }), stepId, millis } as const
    const { step } = yield* (yield* Engine).execute(command)
    return yield* record(command, step)
  })
)

export const stepEntries = [beginStep, completeStep, failStep, sleep]

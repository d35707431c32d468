/**
 * Steps of a run, as its worker reports them.
 *
 * A peer that sends a lease knows the records of this project. Others get the fields of the plain contract alone, so
 * that their answers stay within the size they take.
 */
import { Effect } from "effect"
import { type BeginStepRequest, WorkerService } from "../../../gen/kagzi/v1/worker_pb.ts"
import type { BeginStep } from "../../engine/Command.ts"
import { Engine } from "../../engine/Engine.ts"
import * as codec from "../../protocol/codec.ts"
import { readStepKind, step as stepMessage, stepRecord } from "../../protocol/codecRun.ts"
import { nothing, type Step } from "../../Run.ts"
import { invalid, nonEmpty, payload, underLease, uuid } from "../checks.ts"
import { entry, Recorded } from "../Handler.ts"

const methods = WorkerService.method

const record = Effect.fnUntraced(function* (command: { readonly lease?: number }, step: Step) {
  if (command.lease === undefined) return {}
  return { record: stepRecord(step, yield* (yield* Engine).now) }
})

const readSleep = Effect.fnUntraced(function* (request: BeginStepRequest) {
  if (request.sleep !== undefined) {
    const sleep: BeginStep["sleep"] = { millis: yield* codec.requested(codec.readDuration(request.sleep, "sleep")) }
    return { sleep }
  }
  if (request.sleepUntil !== undefined) {
    const sleep: BeginStep["sleep"] = {
      until: yield* codec.requested(codec.readDue(request.sleepUntil, "sleep_until"))
    }
    return { sleep }
  }
  return {}
})

const beginStep = entry(
  methods.beginStep,
  Effect.fnUntraced(function* (request, call) {
    const engine = yield* Engine
    const run = yield* underLease(request, call)
    const reply = yield* engine.execute({
      _tag: "BeginStep",
      ...run,
      stepId: yield* engine.newId,
      name: yield* nonEmpty(request.stepName, "step_name"),
      kind: yield* codec.requested(readStepKind(request.kind)),
      input: yield* payload(request.input, "input"),
      ...(request.retryPolicy === undefined
        ? {}
        : { retryPolicy: yield* codec.requested(codec.readRetryPolicy(request.retryPolicy)) }),
      ...(yield* readSleep(request))
    })
    const { execute, step } = reply
    // the plain contract has no place for a recorded failure but the error of the call
    if (run.lease === undefined && !execute && step.status === "FAILED" && step.error !== undefined) {
      return yield* new Recorded({ detail: step.error })
    }
    return {
      stepId: step.stepId,
      shouldExecute: execute,
      ...(step.status === "COMPLETED" ? { cachedOutput: codec.payload(step.output ?? nothing) } : {}),
      ...(yield* record(run, step))
    }
  })
)

const completeStep = entry(
  methods.completeStep,
  Effect.fnUntraced(function* (request, call) {
    const run = yield* underLease(request, call)
    const { step } = yield* (yield* Engine).execute({
      _tag: "CompleteStep",
      ...run,
      stepId: yield* uuid(request.stepId, "step_id"),
      output: yield* payload(request.output, "output")
    })
    return { step: stepMessage(step), ...(yield* record(run, step)) }
  })
)

const failStep = entry(
  methods.failStep,
  Effect.fnUntraced(function* (request, call) {
    const engine = yield* Engine
    const run = yield* underLease(request, call)
    const stepId = yield* uuid(request.stepId, "step_id")
    if (request.error === undefined) return yield* invalid("error is missing")
    const { retry, step } = yield* engine.execute({
      _tag: "FailStep",
      ...run,
      stepId,
      error: codec.readErrorDetail(request.error),
      nextStepId: yield* engine.newId
    })
    return {
      scheduledRetry: retry,
      ...(retry && step.dueAt !== undefined ? { retryAt: codec.timestamp(step.dueAt) } : {}),
      ...(yield* record(run, step))
    }
  })
)

const sleep = entry(
  methods.sleep,
  Effect.fnUntraced(function* (request, call) {
    const run = yield* underLease(request, call)
    const stepId = yield* uuid(request.stepId, "step_id")
    if (request.duration === undefined) return yield* invalid("duration is missing")
    const millis = yield* codec.requested(codec.readDuration(request.duration, "duration"))
    const { step } = yield* (yield* Engine).execute({ _tag: "SleepStep", ...run, stepId, millis })
    return yield* record(run, step)
  })
)

export const stepEntries = [beginStep, completeStep, failStep, sleep]

/** Runs and steps, between the domain's data and the messages of the contract. */
import { create } from "@bufbuild/protobuf"
import type { Timestamp } from "@bufbuild/protobuf/wkt"
import { Result } from "effect"
import {
  StepRecordSchema,
  StepSchema,
  type Step as ProtoStep,
  type StepRecord as ProtoStepRecord
} from "../../gen/kagzi/v1/worker_pb.ts"
import { WorkflowSchema, type Workflow as ProtoWorkflow } from "../../gen/kagzi/v1/workflow_pb.ts"
import type { Run, Status, Step, StepKind, StepStatus } from "../Run.ts"
import * as codec from "./codec.ts"
import type { Read } from "./codec.ts"
import * as enums from "./enums.ts"
import type { StepReply } from "./Protocol.ts"

/** What is to be said of an answer that lacks a message. */
export const missing = (field: string): Read<never> => Result.fail(`${field} is missing`)

const required = <A>(value: A | undefined, field: string): Read<A> =>
  value === undefined ? Result.fail(`${field} is missing or unknown`) : Result.succeed(value)

export const readStatus = (value: number): Read<Status> => required(enums.status.fromProto(value), "status")

export const readStepKind = (value: number): Read<StepKind> => required(enums.stepKind.fromProto(value), "kind")

const readStepStatus = (value: number): Read<StepStatus> => required(enums.stepStatus.fromProto(value), "status")

const readOptional = <M, A>(
  message: M | undefined,
  field: string,
  read: (message: M, field: string) => Read<A>
): Read<A | undefined> => (message === undefined ? Result.succeed(undefined) : read(message, field))

const readRequired = (message: Timestamp | undefined, field: string): Read<number> =>
  message === undefined ? missing(field) : codec.readTimestamp(message, field)

type Writable<A> = { -readonly [K in keyof A]: A[K] }

/** Leaves out what is undefined, as exact optional fields want it. */
const present = <K extends string, A>(key: K, value: A | undefined): { readonly [P in K]?: A } =>
  (value === undefined ? {} : { [key]: value }) as { readonly [P in K]?: A }

export const workflow = (run: Omit<Run, "input"> & { readonly input?: Run["input"] }): ProtoWorkflow =>
  create(WorkflowSchema, {
    namespace: run.namespace,
    runId: run.runId,
    externalId: run.externalId,
    taskQueue: run.taskQueue,
    workflowType: run.workflowType,
    status: enums.status.toProto(run.status),
    version: run.version,
    attempts: codec.int32(run.attempts),
    priority: codec.int32(run.priority),
    createdAt: codec.timestamp(run.createdAt),
    ...(run.input === undefined ? {} : { input: codec.payload(run.input) }),
    ...(run.output === undefined ? {} : { output: codec.payload(run.output) }),
    ...(run.error === undefined ? {} : { error: codec.errorDetail(run.error) }),
    ...(run.startedAt === undefined ? {} : { startedAt: codec.timestamp(run.startedAt) }),
    ...(run.finishedAt === undefined ? {} : { finishedAt: codec.timestamp(run.finishedAt) }),
    ...(run.wakeUpAt === undefined ? {} : { wakeUpAt: codec.timestamp(run.wakeUpAt) }),
    ...present("workerId", run.workerId),
    ...present("parentRunId", run.parentRunId),
    ...present("parentStepId", run.parentStepId),
    ...present("scheduleId", run.scheduleId),
    ...present("cronExpr", run.cronExpr)
  })

// Read for every run and every step of a worker, which is why the readers below are plain code.

export const readWorkflow = (message: ProtoWorkflow): Read<Run> => {
  const status = readStatus(message.status)
  if (Result.isFailure(status)) return Result.fail(status.failure)
  const createdAt = readRequired(message.createdAt, "created_at")
  if (Result.isFailure(createdAt)) return Result.fail(createdAt.failure)
  const startedAt = readOptional(message.startedAt, "started_at", codec.readTimestamp)
  if (Result.isFailure(startedAt)) return Result.fail(startedAt.failure)
  const finishedAt = readOptional(message.finishedAt, "finished_at", codec.readTimestamp)
  if (Result.isFailure(finishedAt)) return Result.fail(finishedAt.failure)
  const wakeUpAt = readOptional(message.wakeUpAt, "wake_up_at", codec.readDue)
  if (Result.isFailure(wakeUpAt)) return Result.fail(wakeUpAt.failure)
  const run: Writable<Run> = {
    namespace: message.namespace,
    runId: message.runId,
    externalId: message.externalId,
    taskQueue: message.taskQueue,
    workflowType: message.workflowType,
    version: message.version,
    status: status.success,
    input: codec.readPayload(message.input),
    attempts: message.attempts,
    priority: message.priority ?? 0,
    createdAt: createdAt.success
  }
  if (message.output !== undefined) run.output = codec.readPayload(message.output)
  if (message.error !== undefined) run.error = codec.readErrorDetail(message.error)
  if (startedAt.success !== undefined) run.startedAt = startedAt.success
  if (finishedAt.success !== undefined) run.finishedAt = finishedAt.success
  if (wakeUpAt.success !== undefined) run.wakeUpAt = wakeUpAt.success
  if (message.workerId !== undefined) run.workerId = message.workerId
  if (message.parentRunId !== undefined) run.parentRunId = message.parentRunId
  if (message.parentStepId !== undefined) run.parentStepId = message.parentStepId
  if (message.scheduleId !== undefined) run.scheduleId = message.scheduleId
  if (message.cronExpr !== undefined) run.cronExpr = message.cronExpr
  return Result.succeed(run)
}

/** What both messages about one attempt of a step say, under the same names. */
type Attempt = Pick<
  ProtoStep,
  | "stepId"
  | "name"
  | "kind"
  | "status"
  | "attemptNumber"
  | "input"
  | "output"
  | "error"
  | "createdAt"
  | "startedAt"
  | "finishedAt"
  | "dueAt"
  | "cancelled"
>

const attempt = (value: Step) => ({
  stepId: value.stepId,
  name: value.name,
  kind: enums.stepKind.toProto(value.kind),
  status: enums.stepStatus.toProto(value.status),
  attemptNumber: codec.int32(value.attempt),
  input: codec.payload(value.input),
  createdAt: codec.timestamp(value.createdAt),
  cancelled: value.cancelled,
  ...(value.output === undefined ? {} : { output: codec.payload(value.output) }),
  ...(value.error === undefined ? {} : { error: codec.errorDetail(value.error) }),
  ...(value.startedAt === undefined ? {} : { startedAt: codec.timestamp(value.startedAt) }),
  ...(value.finishedAt === undefined ? {} : { finishedAt: codec.timestamp(value.finishedAt) }),
  ...(value.dueAt === undefined ? {} : { dueAt: codec.timestamp(value.dueAt) })
})

const readAttempt = (
  message: Attempt,
  of: { readonly namespace: string; readonly runId: string }
): Read<Writable<Step>> => {
  const kind = readStepKind(message.kind)
  if (Result.isFailure(kind)) return Result.fail(kind.failure)
  const status = readStepStatus(message.status)
  if (Result.isFailure(status)) return Result.fail(status.failure)
  const createdAt = readRequired(message.createdAt, "created_at")
  if (Result.isFailure(createdAt)) return Result.fail(createdAt.failure)
  const startedAt = readOptional(message.startedAt, "started_at", codec.readTimestamp)
  if (Result.isFailure(startedAt)) return Result.fail(startedAt.failure)
  const finishedAt = readOptional(message.finishedAt, "finished_at", codec.readTimestamp)
  if (Result.isFailure(finishedAt)) return Result.fail(finishedAt.failure)
  const dueAt = readOptional(message.dueAt, "due_at", codec.readDue)
  if (Result.isFailure(dueAt)) return Result.fail(dueAt.failure)
  const read: Writable<Step> = {
    namespace: of.namespace,
    runId: of.runId,
    stepId: message.stepId,
    name: message.name,
    kind: kind.success,
    status: status.success,
    attempt: message.attemptNumber,
    input: codec.readPayload(message.input),
    createdAt: createdAt.success,
    cancelled: message.cancelled
  }
  if (message.output !== undefined) read.output = codec.readPayload(message.output)
  if (message.error !== undefined) read.error = codec.readErrorDetail(message.error)
  if (startedAt.success !== undefined) read.startedAt = startedAt.success
  if (finishedAt.success !== undefined) read.finishedAt = finishedAt.success
  if (dueAt.success !== undefined) read.dueAt = dueAt.success
  return Result.succeed(read)
}

export const step = (value: Step): ProtoStep =>
  create(StepSchema, {
    ...attempt(value),
    namespace: value.namespace,
    runId: value.runId,
    ...present("childRunId", value.childRunId)
  })

export const readStep = (message: ProtoStep): Read<Step> =>
  Result.map(readAttempt(message, message), (read) => ({ ...read, ...present("childRunId", message.childRunId) }))

/** What replay needs of a step. `now` is the server's time in milliseconds, from which the rest of a wait is told. */
export const stepRecord = (value: Step, now: number): ProtoStepRecord =>
  create(StepRecordSchema, {
    ...attempt(value),
    sequence: codec.int64(value.sequence ?? 0),
    ...(value.dueAt === undefined ? {} : { dueInMs: codec.int64(Math.ceil(Math.max(0, value.dueAt - now))) })
  })

/** A record knows neither its namespace nor its run: whoever asked does. */
export const readStepRecord = (
  message: ProtoStepRecord,
  of: { readonly namespace: string; readonly runId: string }
): Read<StepReply> => {
  const read = readAttempt(message, of)
  if (Result.isFailure(read)) return Result.fail(read.failure)
  const sequence = codec.safeNumber(message.sequence, "sequence")
  if (Result.isFailure(sequence)) return Result.fail(sequence.failure)
  const dueIn = codec.safeNumber(message.dueInMs, "due_in_ms")
  if (Result.isFailure(dueIn)) return Result.fail(dueIn.failure)
  const step = read.success
  if (sequence.success > 0) step.sequence = sequence.success
  return Result.succeed(step.dueAt === undefined ? { step } : { step, dueIn: Math.max(0, dueIn.success) })
}

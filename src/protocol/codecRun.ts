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

export const readWorkflow = (message: ProtoWorkflow): Read<Run> =>
  Result.gen(function* () {
    const status = yield* readStatus(message.status)
    const createdAt = yield* readRequired(message.createdAt, "created_at")
    const startedAt = yield* readOptional(message.startedAt, "started_at", codec.readTimestamp)
    const finishedAt = yield* readOptional(message.finishedAt, "finished_at", codec.readTimestamp)
    const wakeUpAt = yield* readOptional(message.wakeUpAt, "wake_up_at", codec.readDue)
    return {
      namespace: message.namespace,
      runId: message.runId,
      externalId: message.externalId,
      taskQueue: message.taskQueue,
      workflowType: message.workflowType,
      version: message.version,
      status,
      input: codec.readPayload(message.input),
      ...(message.output === undefined ? {} : { output: codec.readPayload(message.output) }),
      ...(message.error === undefined ? {} : { error: codec.readErrorDetail(message.error) }),
      attempts: message.attempts,
      priority: message.priority ?? 0,
      createdAt,
      ...present("startedAt", startedAt),
      ...present("finishedAt", finishedAt),
      ...present("wakeUpAt", wakeUpAt),
      ...present("workerId", message.workerId),
      ...present("parentRunId", message.parentRunId),
      ...present("parentStepId", message.parentStepId),
      ...present("scheduleId", message.scheduleId),
      ...present("cronExpr", message.cronExpr)
    }
  })

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

const readAttempt = (message: Attempt, of: { readonly namespace: string; readonly runId: string }): Read<Step> =>
  Result.gen(function* () {
    const kind = yield* readStepKind(message.kind)
    const status = yield* readStepStatus(message.status)
    const createdAt = yield* readRequired(message.createdAt, "created_at")
    const startedAt = yield* readOptional(message.startedAt, "started_at", codec.readTimestamp)
    const finishedAt = yield* readOptional(message.finishedAt, "finished_at", codec.readTimestamp)
    const dueAt = yield* readOptional(message.dueAt, "due_at", codec.readDue)
    return {
      namespace: of.namespace,
      runId: of.runId,
      stepId: message.stepId,
      name: message.name,
      kind,
      status,
      attempt: message.attemptNumber,
      input: codec.readPayload(message.input),
      ...(message.output === undefined ? {} : { output: codec.readPayload(message.output) }),
      ...(message.error === undefined ? {} : { error: codec.readErrorDetail(message.error) }),
      createdAt,
      ...present("startedAt", startedAt),
      ...present("finishedAt", finishedAt),
      ...present("dueAt", dueAt),
      cancelled: message.cancelled
    }
  })

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
): Read<StepReply> =>
  Result.gen(function* () {
    const read = yield* readAttempt(message, of)
    const sequence = yield* codec.safeNumber(message.sequence, "sequence")
    const dueIn = yield* codec.safeNumber(message.dueInMs, "due_in_ms")
    const step: Step = sequence > 0 ? { ...read, sequence } : read
    return step.dueAt === undefined ? { step } : { step, dueIn: Math.max(0, dueIn) }
  })

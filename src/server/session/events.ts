/** Answers and news as events, and about how large they are. */
import { create } from "@bufbuild/protobuf"
import { ErrorDetailSchema } from "../../../gen/kagzi/v1/common_pb.ts"
import { AwaitResultResponseSchema, SuspendRunResponseSchema } from "../../../gen/kagzi/v1/execution_pb.ts"
import {
  DoneEventSchema,
  DrainEventSchema,
  ForgottenEventSchema,
  LostEventSchema,
  type SessionEvent,
  SessionEventSchema,
  StepEventSchema,
  TaskEventSchema
} from "../../../gen/kagzi/v1/session_pb.ts"
import {
  DeregisterResponseSchema,
  HeldRunSchema,
  type StepRecord,
  StepRecordSchema
} from "../../../gen/kagzi/v1/worker_pb.ts"
import { StartWorkflowResponseSchema } from "../../../gen/kagzi/v1/workflow_pb.ts"
import type { Held, Reply } from "../../engine/Command.ts"
import type { EndedRun } from "../../engine/Endings.ts"
import type { Options, Task } from "../../engine/Engine.ts"
import type * as KagziError from "../../KagziError.ts"
import * as codec from "../../protocol/codec.ts"
import { stepRecord, workflow } from "../../protocol/codecRun.ts"
import * as enums from "../../protocol/enums.ts"
import type { Payload, Step } from "../../Run.ts"
import { detailOf } from "../dispatch.ts"
import * as Replies from "../replies.ts"

type Event = SessionEvent["event"]

/** What an event is without its payloads, in bytes. */
const overhead = 64

const bytesOf = (payload: Payload | undefined): number => payload?.data.byteLength ?? 0

const stepBytes = ({ error, input, output }: Step): number =>
  overhead + bytesOf(input) + bytesOf(output) + (error === undefined ? 0 : error.message.length)

/** An event, and about how many bytes it has. */
export interface Sized {
  readonly event: Event
  readonly bytes: number
}

const small = (event: Event): Sized => ({ event, bytes: overhead })

/** `id` is of the command that it answers; 0 for what comes unasked. */
export const message = (id: number, event: Event): SessionEvent => {
  const made = create(SessionEventSchema)
  made.id = id
  made.event = event
  return made
}

export const error = (cause: KagziError.KagziError): Sized => {
  const detail = detailOf(cause)
  return {
    event: { case: "error", value: create(ErrorDetailSchema, codec.errorDetail(detail)) },
    bytes: overhead + detail.message.length
  }
}

export const done = (): Sized => small({ case: "done", value: create(DoneEventSchema) })

export const registered = (reply: Reply["RegisterWorker"], options: Options, maxPayloadBytes: number): Sized =>
  small({ case: "registered", value: Replies.registered(reply, options, maxPayloadBytes) })

export const heard = (reply: Reply["Heartbeat"]): Sized => ({
  event: { case: "heard", value: Replies.heard(reply) },
  bytes: overhead * (1 + reply.lost.length + reply.cancelled.length)
})

export const deregistered = (reply: Reply["DeregisterWorker"]): Sized =>
  small({ case: "deregistered", value: create(DeregisterResponseSchema, reply) })

/** What the worker does not know of a step that it completed. */
const completedRecord = ({ attempt, cancelled, finishedAt, kind, sequence, status }: Step): StepRecord => {
  const record = create(StepRecordSchema)
  record.kind = enums.stepKind.toProto(kind)
  record.status = enums.stepStatus.toProto(status)
  record.attemptNumber = codec.int32(attempt)
  record.sequence = codec.int64(sequence ?? 0)
  record.cancelled = cancelled
  if (finishedAt !== undefined) record.finishedAt = codec.timestamp(finishedAt)
  return record
}

export const completed = ({ step }: Reply["CompleteStep"]): Sized => {
  const value = create(StepEventSchema)
  value.record = completedRecord(step)
  return small({ case: "step", value })
}

/** `now` is the server's time, from which the rest of a wait is told. */
export const step = (
  {
    execute = false,
    retry = false,
    step
  }: { readonly step: Step; readonly execute?: boolean; readonly retry?: boolean },
  now: number
): Sized => {
  const value = create(StepEventSchema)
  value.record = stepRecord(step, now)
  value.execute = execute
  value.retry = retry
  return { event: { case: "step", value }, bytes: stepBytes(step) }
}

export const suspended = ({ suspended, wakeUpAt }: Reply["SuspendRun"]): Sized =>
  small({
    case: "suspended",
    value: create(SuspendRunResponseSchema, { suspended, wakeUpAt: codec.timestamp(wakeUpAt) })
  })

export const started = ({ alreadyExists, runId }: Reply["StartRun"]): Sized => {
  const value = create(StartWorkflowResponseSchema)
  value.runId = runId
  value.alreadyExists = alreadyExists
  return small({ case: "started", value })
}

export const result = (run: EndedRun): Sized => {
  const value = create(AwaitResultResponseSchema)
  value.workflow = workflow(run)
  return {
    event: { case: "result", value },
    bytes: 4 * overhead + bytesOf(run.output) + (run.error === undefined ? 0 : run.error.message.length)
  }
}

export const task = (workerId: string, value: Task): Sized => {
  const event = create(TaskEventSchema)
  event.workerId = workerId
  event.task = Replies.taskMessage(value)
  return {
    event: { case: "task", value: event },
    bytes: value.history.reduce((sum, step) => sum + stepBytes(step), 4 * overhead + bytesOf(value.run.input))
  }
}

export const lost = (workerId: string, run: Held, ended: boolean): Sized =>
  small({
    case: "lost",
    value: create(LostEventSchema, { workerId, run: create(HeldRunSchema, codec.held(run)), ended })
  })

export const drain = (workerId: string): Sized =>
  small({ case: "drain", value: create(DrainEventSchema, { workerId }) })

export const forgotten = (workerId: string): Sized =>
  small({ case: "forgotten", value: create(ForgottenEventSchema, { workerId }) })

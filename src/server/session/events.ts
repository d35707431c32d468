/** What is said less often, as events. */
import { create } from "@bufbuild/protobuf"
import { ErrorDetailSchema } from "../../../gen/kagzi/v1/common_pb.ts"
import { SuspendRunResponseSchema } from "../../../gen/kagzi/v1/execution_pb.ts"
import {
  DrainEventSchema,
  ForgottenEventSchema,
  LostEventSchema,
  type SessionEvent,
  StepEventSchema
} from "../../../gen/kagzi/v1/session_pb.ts"
import { DeregisterResponseSchema, HeldRunSchema } from "../../../gen/kagzi/v1/worker_pb.ts"
import type { Held, Reply } from "../../engine/Command.ts"
import type * as KagziError from "../../KagziError.ts"
import * as codec from "../../protocol/codec.ts"
import { stepRecord } from "../../protocol/codecRun.ts"
import type { Step } from "../../Run.ts"
import { detailOf } from "../dispatch.ts"
import * as Replies from "../replies.ts"

type Event = SessionEvent["event"]

export const error = (cause: KagziError.KagziError): Event => ({
  case: "error",
  value: create(ErrorDetailSchema, codec.errorDetail(detailOf(cause)))
})

export const registered = (reply: Reply["RegisterWorker"], maxPayloadBytes: number): Event => ({
  case: "registered",
  value: Replies.registered(reply, maxPayloadBytes)
})

export const heard = (reply: Omit<Reply["Heartbeat"], "patienceMillis">, now?: number): Event => ({
  case: "heard",
  value: Replies.heard(reply, now)
})

export const deregistered = (reply: Reply["DeregisterWorker"]): Event => ({
  case: "deregistered",
  value: create(DeregisterResponseSchema, reply)
})

/** `now` is the server's time, from which the rest of a wait is told. */
export const step = (
  reply: { readonly step: Step; readonly execute?: boolean; readonly retry?: boolean },
  now: number
): Event => ({
  case: "step",
  value: create(StepEventSchema, {
    record: stepRecord(reply.step, now),
    execute: reply.execute === true,
    retry: reply.retry === true
  })
})

export const suspended = ({ suspended, wakeUpAt }: Reply["SuspendRun"]): Event => ({
  case: "suspended",
  value: create(SuspendRunResponseSchema, { suspended, wakeUpAt: codec.timestamp(wakeUpAt) })
})

export const lost = (workerId: string, run: Held, ended: boolean): Event => ({
  case: "lost",
  value: create(LostEventSchema, { workerId, run: create(HeldRunSchema, codec.held(run)), ended })
})

export const drain = (workerId: string): Event => ({ case: "drain", value: create(DrainEventSchema, { workerId }) })

export const forgotten = (workerId: string): Event => ({
  case: "forgotten",
  value: create(ForgottenEventSchema, { workerId })
})

/** Answers of the engine as messages, whichever way they go out. */
import { create } from "@bufbuild/protobuf"
import {
  type HeartbeatResponse,
  HeartbeatResponseSchema,
  type PollTaskResponse,
  PollTaskResponseSchema,
  type RegisterResponse,
  RegisterResponseSchema
} from "../../gen/kagzi/v1/worker_pb.ts"
import type { Reply } from "../engine/Command.ts"
import type { Task } from "../engine/Engine.ts"
import { guaranteedIntervals } from "../engine/lifecycle/leases.ts"
import { held, int32, int64, payload, timestamp } from "../protocol/codec.ts"
import { stepRecord, workflow } from "../protocol/codecRun.ts"
import * as Pages from "./pages.ts"

export const registered = (
  { patienceMillis, workerId }: Reply["RegisterWorker"],
  maxPayloadBytes: number
): RegisterResponse =>
  create(RegisterResponseSchema, {
    workerId,
    heartbeatIntervalSecs: Math.max(1, Math.floor(patienceMillis / guaranteedIntervals / 1000)),
    maxPayloadBytes: int32(maxPayloadBytes)
  })

export const heard = (
  { cancelled, lost, shouldDrain }: Omit<Reply["Heartbeat"], "patienceMillis">,
  now?: number
): HeartbeatResponse =>
  create(HeartbeatResponseSchema, {
    accepted: true,
    shouldDrain,
    lostRuns: lost.map(held),
    cancelledRuns: cancelled.map(held),
    ...(now === undefined ? {} : { now: timestamp(now) })
  })

/** A run for a worker, with the first page of its history. */
export const taskMessage = ({ claimedAt, history, historyMore, lease, run }: Task): PollTaskResponse => {
  const { input, output: _, ...rest } = run
  return create(PollTaskResponseSchema, {
    runId: run.runId,
    workflowType: run.workflowType,
    input: payload(input),
    leaseEpoch: int64(lease),
    workflow: workflow(rest),
    history: history.map((step) => stepRecord(step, claimedAt)),
    historyPageToken: historyMore ? Pages.positionToken(history.at(-1)?.position ?? 0) : "",
    claimedAt: timestamp(claimedAt)
  })
}

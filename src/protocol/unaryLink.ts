/** A worker's connection for one task queue over unary RPCs: registration, heartbeats, notices. */
import type { MessageInitShape } from "@bufbuild/protobuf"
import { Effect, Queue, Result, type Scope } from "effect"
import type { HeartbeatResponse, RegisterRequestSchema, RegisterResponse } from "../../gen/kagzi/v1/worker_pb.ts"
import type { KagziError } from "../KagziError.ts"
import * as codec from "./codec.ts"
import type { Held, Notice, WorkerLink, WorkerOptions } from "./Protocol.ts"
import { isLost, patiently } from "./retry.ts"
import type { Services } from "./services.ts"
import { type Commands, farewell } from "./unaryCommands.ts"
import * as Extended from "./unaryExtended.ts"
import * as Plain from "./unaryPlain.ts"

// A lost heartbeat must leave time for more before the lease is gone. Milliseconds.
const heartbeatTimeout = 5_000

/** How a worker presents itself. */
export const registration = (options: WorkerOptions): MessageInitShape<typeof RegisterRequestSchema> => ({
  namespace: options.namespace,
  taskQueue: options.taskQueue,
  workflowTypes: [...options.workflowTypes],
  hostname: options.hostname,
  pid: codec.int32(options.pid),
  version: options.version,
  labels: options.labels,
  instanceId: options.instanceId,
  ...(options.queueConcurrencyLimit === undefined
    ? {}
    : { queueConcurrencyLimit: codec.int32(options.queueConcurrencyLimit) }),
  workflowTypeConcurrency: Object.entries(options.workflowTypeConcurrency).map(([workflowType, limit]) => ({
    workflowType,
    maxConcurrent: codec.int32(limit)
  }))
})

/** What of the answer counts. */
export const registered = (reply: RegisterResponse) => ({
  workerId: reply.workerId,
  intervalMillis: Math.max(1, reply.heartbeatIntervalSecs) * 1_000
})

/** What a server says of the runs that a worker has reported. */
export const noticesOf = (reply: HeartbeatResponse): codec.Read<ReadonlyArray<Notice>> =>
  Result.gen(function* () {
    const notice = (tag: "Lost" | "Cancelled") => (held: Held) => ({ _tag: tag, held })
    const lost = yield* Result.all(reply.lostRuns.map(codec.readHeld))
    const cancelled = yield* Result.all(reply.cancelledRuns.map(codec.readHeld))
    return [...lost.map(notice("Lost")), ...cancelled.map(notice("Cancelled"))]
  })

/** Whether the server does not know the worker any more. */
export const isForgotten = (error: KagziError): boolean =>
  error._tag === "NotFound" || error._tag === "PreconditionFailed"

interface Presence {
  readonly workerId: string
  readonly intervalMillis: number
  readonly extended: boolean
  readonly notices: Queue.Queue<Notice>
}

/** Gives signs of life, at once and at every interval, until the server does not know the worker any more. */
const heartbeats = Effect.fnUntraced(function* (services: Services, options: WorkerOptions, presence: Presence) {
  const { extended, intervalMillis, notices, workerId } = presence
  const beat = Effect.suspend(() =>
    services.workers.heartbeat(
      extended ? { workerId, reportsRuns: true, heldRuns: options.held().map(codec.held) } : { workerId },
      { timeoutMillis: heartbeatTimeout }
    )
  )
  const heard = Effect.flatMap(patiently(beat), (reply) =>
    Effect.map(codec.answered(noticesOf(reply)), (found) => ({ found, shouldDrain: reply.shouldDrain }))
  )
  let draining = false
  while (true) {
    const result = yield* Effect.result(heard)
    if (Result.isSuccess(result)) {
      yield* Queue.offerAll(notices, result.success.found)
      if (result.success.shouldDrain && !draining) yield* Queue.offer(notices, { _tag: "Drain" })
      draining = result.success.shouldDrain
    } else if (isForgotten(result.failure)) {
      yield* Queue.offer(notices, { _tag: "Forgotten" })
      return
    } else {
      yield* Effect.logWarning("A heartbeat was refused", result.failure)
    }
    yield* Effect.sleep(intervalMillis)
  }
})

/** Registers a worker and keeps it alive until the scope closes. */
export const connect =
  (services: Services) =>
  (options: WorkerOptions): Effect.Effect<WorkerLink, KagziError, Scope.Scope> =>
    Effect.gen(function* () {
      const extended = yield* services.hasExecution
      const deregister = (workerId: string, drain: boolean) => services.workers.deregister({ workerId, drain })
      const { intervalMillis, workerId } = yield* Effect.acquireRelease(
        Effect.map(services.workers.register(registration(options)), registered),
        ({ workerId }) =>
          deregister(workerId, false).pipe(
            Effect.timeout(farewell),
            Effect.catch((error) => Effect.logDebug("The worker could not deregister", error))
          ),
        { interruptible: true }
      )
      const notices = yield* Queue.unbounded<Notice>()
      yield* Effect.forkScoped(heartbeats(services, options, { workerId, intervalMillis, extended, notices }))
      const commands: Commands = extended
        ? Extended.make(services, options, workerId)
        : yield* Plain.make(services, options, workerId)
      return {
        workerId,
        notice: Queue.take(notices),
        // a run comes for a poll here, and a poll is sent when there is room
        offer: () => {},
        drain: Effect.asVoid(deregister(workerId, true)).pipe(
          // A worker that can't say so drains all the same: it polls no more.
          Effect.catchIf(isLost, () => Effect.void)
        ),
        ...commands
      }
    }).pipe(Effect.withSpan("Protocol.connect"))

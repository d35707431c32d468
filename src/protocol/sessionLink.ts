/** A worker's connection for one task queue over a session: registration, signs of life, notices. */
import { Clock, Effect, Fiber, Queue, Result, type Scope } from "effect"
import type { HeartbeatResponse } from "../../gen/kagzi/v1/worker_pb.ts"
import { RandomBytes } from "../ids.ts"
import type { KagziError } from "../KagziError.ts"
import * as codec from "./codec.ts"
import type { Held, Notice, WorkerLink, WorkerOptions } from "./Protocol.ts"
import { isLost } from "./retry.ts"
import type { Services } from "./services.ts"
import {
  giveBack,
  type Member,
  request,
  type Reply,
  type Session,
  unavailable,
  type Unusable,
  unexpected
} from "./session.ts"
import * as SessionCommands from "./sessionCommands.ts"
import * as Tasks from "./sessionTasks.ts"
import { farewell } from "./unaryCommands.ts"
import { isForgotten, noticesOf, registered, registration } from "./unaryLink.ts"

const register = Effect.fnUntraced(function* (session: Session, options: WorkerOptions) {
  const event = yield* request(session, "once", { case: "register", value: registration(options) })
  if (event.case !== "registered") return yield* unexpected(event)
  const { maxPayloadBytes } = event.value
  return { ...registered(event.value), maxPayloadBytes: maxPayloadBytes > 0 ? maxPayloadBytes : Number.MAX_VALUE }
})

/** Registers a worker and keeps it alive until the scope closes. */
export const connect =
  (session: Session, services: Services) =>
  (options: WorkerOptions): Effect.Effect<WorkerLink, KagziError | Unusable, Scope.Scope> =>
    Effect.gen(function* () {
      const clock = yield* Clock.Clock
      const fork = Effect.runForkWith(yield* Effect.context<never>())
      const deregister = (workerId: string, drain: boolean) =>
        Effect.mapError(request(session, "run", { case: "deregister", value: { workerId, drain } }), unavailable)
      const { intervalMillis, maxPayloadBytes, workerId } = yield* Effect.acquireRelease(
        register(session, options),
        ({ workerId }) =>
          deregister(workerId, false).pipe(
            Effect.timeout(farewell),
            Effect.catch((error) => Effect.logDebug("The worker could not deregister", error))
          ),
        { interruptible: true }
      )
      const notices = yield* Queue.unbounded<Notice>()
      const notify = (notice: Notice) => {
        Queue.offerUnsafe(notices, notice)
      }
      let forgotten = false
      let draining = false
      /** The capacity that the server was told on the present stream, and whether it has answered there. */
      let told: number | undefined
      let isHeard = false
      let watcher: Fiber.Fiber<void> | undefined

      const forget = () => {
        if (forgotten) return
        forgotten = true
        session.leave(member)
        notify({ _tag: "Forgotten" })
      }

      const drain = (asked: boolean) => {
        if (asked && !draining) notify({ _tag: "Drain" })
        draining = asked
      }

      const gone = (tag: "Lost" | "Cancelled", held: Held) => {
        if (!tasks.remove(held)) notify({ _tag: tag, held })
      }

      const unreadable = (why: unknown) => {
        fork(Effect.logWarning("A message of the server can't be read", why))
      }

      const presence: Reply = {
        answered: (event) => {
          if (event.case !== "heard") return
          isHeard = true
          heard(event.value)
        },
        failed: (error) => {
          if (error._tag === "Unusable") return
          if (isForgotten(error)) forget()
          else if (!isLost(error)) fork(Effect.logWarning("A heartbeat was refused", error))
        }
      }

      const heard = (reply: HeartbeatResponse) => {
        const read = noticesOf(reply)
        if (Result.isFailure(read)) return unreadable(read.failure)
        for (const notice of read.success) if ("held" in notice) gone(notice._tag, notice.held)
        drain(reply.shouldDrain)
      }

      const serve = (resumes: boolean) => {
        told = tasks.capacity()
        const value = {
          workerId,
          namespace: options.namespace,
          taskQueue: options.taskQueue,
          workflowTypes: [...options.workflowTypes],
          capacity: codec.int32(told),
          resumes,
          heldRuns: resumes ? tasks.all().map(codec.held) : []
        }
        session.send("presence", { case: "serve", value }, 0, presence)
      }

      const tasks = Tasks.make({
        held: options.held,
        now: () => clock.currentTimeMillisUnsafe(),
        changed: () => {
          if (told !== undefined && !forgotten && tasks.capacity() !== told) serve(false)
        },
        giveBack: (held) => giveBack(session, options.namespace, held)
      })

      const member: Member = {
        workerId,
        resume: () => serve(true),
        suspend: () => {
          told = undefined
          isHeard = false
        },
        forget,
        news: (news) => {
          switch (news.case) {
            case "task": {
              const { task } = news.value
              if (task === undefined) return
              const lease = codec.safeNumber(task.leaseEpoch, "lease_epoch")
              if (Result.isFailure(lease)) return unreadable(lease.failure)
              tasks.add({ runId: task.runId, lease: lease.success }, task)
              if (tasks.isWaiting()) watcher ??= fork(watching)
              return
            }
            case "lost": {
              const { ended, run } = news.value
              if (run === undefined) return
              const read = codec.readHeld(run)
              if (Result.isFailure(read)) return unreadable(read.failure)
              return gone(ended ? "Cancelled" : "Lost", read.success)
            }
            case "drain":
              return drain(true)
            case "forgotten":
              return forget()
          }
        }
      }

      const watching = Effect.ensuring(
        tasks.watch,
        Effect.sync(() => {
          watcher = undefined
        })
      )

      const beating = Effect.gen(function* () {
        while (!forgotten) {
          yield* Effect.sleep(intervalMillis)
          // on a new stream the worker says by itself how things are
          if (told === undefined || forgotten) continue
          const value = { workerId, reportsRuns: true, heldRuns: tasks.held().map(codec.held) }
          session.send("presence", { case: "heartbeat", value }, 0, presence)
        }
      })

      session.join(member)
      serve(true)
      yield* Effect.addFinalizer(() =>
        Effect.suspend(() => {
          session.leave(member)
          return watcher === undefined ? Effect.void : Fiber.interrupt(watcher)
        })
      )
      yield* Effect.forkScoped(beating)
      const commands = SessionCommands.make({
        session,
        services,
        worker: options,
        workerId,
        tasks,
        maxPayloadBytes,
        isTrusted: () => isHeard && session.heardWithin(2 * intervalMillis),
        now: () => clock.currentTimeMillisUnsafe(),
        draw: yield* RandomBytes
      })
      return {
        workerId,
        notice: Queue.take(notices),
        offer: tasks.offer,
        drain: Effect.asVoid(deregister(workerId, true)).pipe(
          Effect.tap(Effect.sync(tasks.clear)),
          // A worker that can't say so drains all the same: it polls no more.
          Effect.catchIf(isLost, () => Effect.void)
        ),
        ...commands
      }
    }).pipe(Effect.withSpan("Protocol.connect"))

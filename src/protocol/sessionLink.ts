/** A worker's connection for one task queue over a session: registration, signs of life, notices. */
import { Clock, Effect, Fiber, Queue, Result, type Scope } from "effect"
import type { HeartbeatResponse, PollTaskResponse } from "../../gen/kagzi/v1/worker_pb.ts"
import { RandomBytes } from "../ids.ts"
import type { KagziError } from "../KagziError.ts"
import * as codec from "./codec.ts"
import { LeaseTrust, type Sign } from "./leaseTrust.ts"
import type { Held, Notice, WorkerLink, WorkerOptions } from "./Protocol.ts"
import { isLost } from "./retry.ts"
import type { Services } from "./services.ts"
import {
  type Command,
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
      /** The capacity that the server was told on the present stream. */
      let told: number | undefined
      const trust = new LeaseTrust(clock, intervalMillis)
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

      /** Says that the worker is there, and that it holds these runs and no others if they are told. */
      const present = (command: Command, held?: ReadonlyArray<Held>) => {
        const sign = held === undefined ? undefined : trust.sent()
        const ended = () => {
          if (sign !== undefined) trust.ended(sign)
        }
        if (held !== undefined && sign !== undefined) tasks.doubtOthers(held, sign.number)
        const reply: Reply = {
          answered: (event) => {
            ended()
            if (event.case !== "heard") return
            // of a change of capacity alone it is told before what became of the runs
            if (heard(event.value) && sign !== undefined) renewed(event.value, sign, held ?? [])
          },
          failed: (error) => {
            ended()
            if (error._tag === "Unusable") return
            if (isForgotten(error)) forget()
            else if (!isLost(error)) fork(Effect.logWarning("A heartbeat was refused", error))
          }
        }
        session.send("presence", command, 0, reply)
      }

      /** Answers whether it is known which runs are gone. */
      const heard = (reply: HeartbeatResponse): boolean => {
        const read = noticesOf(reply)
        if (Result.isFailure(read)) {
          unreadable(read.failure)
          return false
        }
        for (const notice of read.success) if ("held" in notice) gone(notice._tag, notice.held)
        drain(reply.shouldDrain)
        return true
      }

      /** The leases were renewed of the runs that a sign of life named, but for those that are gone by now. */
      const renewed = (reply: HeartbeatResponse, sign: Sign, held: ReadonlyArray<Held>) => {
        if (reply.now === undefined) return
        const now = codec.readTimestamp(reply.now, "now")
        if (Result.isFailure(now)) return unreadable(now.failure)
        tasks.renew(held, sign.number, trust.answered(sign, now.success))
      }

      const goodUntil = ({ claimedAt }: PollTaskResponse): number => {
        if (claimedAt === undefined) return Number.NEGATIVE_INFINITY
        const read = codec.readTimestamp(claimedAt, "claimed_at")
        return Result.isFailure(read) ? Number.NEGATIVE_INFINITY : trust.goodUntil(read.success)
      }

      const serve = (resumes: boolean) => {
        told = tasks.capacity()
        const held = resumes ? tasks.all() : undefined
        const value = {
          workerId,
          namespace: options.namespace,
          taskQueue: options.taskQueue,
          workflowTypes: [...options.workflowTypes],
          capacity: codec.int32(told),
          resumes,
          heldRuns: (held ?? []).map(codec.held),
          stream: session.streams()
        }
        present({ case: "serve", value }, held)
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
        resume: () => {
          trust.reset()
          serve(true)
        },
        suspend: () => {
          told = undefined
          trust.reset()
        },
        forget,
        news: (news) => {
          switch (news.case) {
            case "task": {
              const { task } = news.value
              if (task === undefined) return
              const lease = codec.safeNumber(task.leaseEpoch, "lease_epoch")
              if (Result.isFailure(lease)) return unreadable(lease.failure)
              tasks.add({ runId: task.runId, lease: lease.success }, task, goodUntil(task))
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
          const held = tasks.held()
          const heldRuns = held.map(codec.held)
          present(
            { case: "heartbeat", value: { workerId, reportsRuns: true, heldRuns, stream: session.streams() } },
            held
          )
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
        isTrusted: (held) => trust.isCertain(tasks.get(held)?.goodUntil ?? Number.NEGATIVE_INFINITY),
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

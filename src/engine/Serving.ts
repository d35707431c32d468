/**
 * A worker that is sent runs as long as it has room, over a connection that stays open, and is told at once when it
 * loses one. It has one waiter and one alarm, whatever its capacity.
 */
import { Effect, Latch, Result } from "effect"
import type * as KagziError from "../KagziError.ts"
import { isTerminal } from "../Run.ts"
import type { RunRecord, WorkerRecord } from "../store/Store.ts"
import { type Claims as Reading, nextQuestion } from "./claim.ts"
import type { Claimed, Claims, Held, Reply } from "./Command.ts"
import type { Committer } from "./Committer.ts"
import type { Task } from "./Engine.ts"
import type { Inputs } from "./Inputs.ts"
import type { Decision } from "./lifecycle/failures.ts"
import type { Servings } from "./Servings.ts"
import type { Waiter, Waiters } from "./Waiters.ts"

/** Whom a worker's runs and notices go to. Called synchronously. */
export interface Listener {
  /** Closed while the connection can't take more. */
  readonly hasRoom: Latch.Latch
  readonly onTask: (task: Task) => void
  /** `ended` tells a run that was cancelled or ended by another from a lease that is gone. */
  readonly onLost: (held: Held, ended: boolean) => void
  /** The worker is to take nothing new. */
  readonly onDrain: () => void
  /** The worker is not known any more. */
  readonly onForgotten: () => void
  /** Another connection serves the worker now. */
  readonly onReplaced: () => void
}

/** A worker, what it takes, and the runs that it holds already. */
export interface ServeRequest {
  readonly namespace: string
  readonly workerId: string
  readonly taskQueue: string
  readonly workflowTypes: ReadonlyArray<string>
  /** The most runs that it holds at once. */
  readonly capacity: number
}

/** How long to leave a worker alone that was refused a run, or a store that could not be read. */
const patienceMillis = 1_000

/** What was found out about runs that are due later is found out anew after so long: others may use the same store. */
const outlookMillis = 1_000

/** The most runs that are claimed at once. */
const maximumClaim = 256

const none: ReadonlySet<string> = new Set()

/** What servings share. */
export interface Needs {
  readonly committer: Committer
  readonly waiters: Waiters
  readonly reading: Reading
  readonly inputs: Inputs
  readonly now: Effect.Effect<number>
  /** How long a worker may be silent and still be handed runs. Milliseconds. */
  readonly silentMillis: number
  readonly findWorker: (
    workerId: string
  ) => Effect.Effect<Pick<WorkerRecord, "status"> | undefined, KagziError.KagziError>
  /** Tells other servers of the same database that the worker is served here since that time. */
  readonly tellServed: (workerId: string, at: number) => void
  /** Runs an effect until it ends or the engine stops. */
  readonly fork: (effect: Effect.Effect<unknown>) => { readonly interruptUnsafe: () => void }
}

export class Serving {
  readonly request: ServeRequest
  readonly #listener: Listener
  readonly #needs: Needs
  readonly #servings: Servings
  readonly #waiter: Waiter
  readonly #alarm: { readonly interruptUnsafe: () => void }
  readonly #bell = Latch.makeUnsafe()
  readonly #held = new Map<string, number>()
  /** How long its worker may be silent with every server. */
  patienceMillis = 0
  #heardAt: number | undefined
  /** Whether its worker was not heard of for so long that it may be gone, or stand still. */
  #isSilent = false
  #capacity: number
  #state: "takes" | "drains" | "closed" = "takes"
  /** Whether there was nothing due for it but what it was called for since. */
  #idle = false
  #asking = false
  /** How many runs were asked for, and whether that was all there is room for. */
  #asked = 0
  #askedAll = false
  #reply: (Claims & { readonly now: number }) | undefined
  /** When the earliest run that it knew of before it asked is due, if it knew that. */
  #knownDueAt: number | undefined
  #outlookAt = Number.NEGATIVE_INFINITY
  /** How often in a row there was a run that was due and not to be had. */
  #contended = 0
  #isDue = false
  /** When the alarm rings unless it is told of an earlier time. */
  #ringsAt = Number.POSITIVE_INFINITY

  constructor(servings: Servings, needs: Needs, request: ServeRequest, held: Iterable<Held>, listener: Listener) {
    this.request = request
    this.#capacity = request.capacity
    this.#servings = servings
    this.#needs = needs
    this.#listener = listener
    this.#waiter = needs.waiters.add(request, request.workerId, request.workflowTypes, () => servings.woke(this), true)
    this.#waiter.asking = false
    for (const { lease, runId } of held) this.#hold(runId, lease)
    this.#alarm = needs.fork(this.#alarms())
  }

  get isDraining(): boolean {
    return this.#state === "drains"
  }

  /** When its worker was last heard of over this connection, if it was. Milliseconds since the epoch. */
  get heardAt(): number | undefined {
    return this.#heardAt
  }

  set heardAt(heardAt: number) {
    this.#heardAt = heardAt
    if (this.#isSilent) {
      this.#isSilent = false
      this.#servings.woke(this)
    }
    if (this.#silentAt < this.#ringsAt) this.#bell.openUnsafe()
  }

  held(): ReadonlyArray<Held> {
    return Array.from(this.#held, ([runId, lease]) => ({ runId, lease }))
  }

  heldOf(runId: string): Held | undefined {
    const lease = this.#held.get(runId)
    return lease === undefined ? undefined : { runId, lease }
  }

  /** To be told when the connection has room again. */
  woke(): void {
    this.#servings.woke(this)
  }

  /** Runs beyond a smaller capacity stay. */
  set capacity(capacity: number) {
    this.#capacity = capacity
    this.#servings.woke(this)
  }

  /** The worker gave the run up itself, or was told otherwise that it lost it. */
  drop(runId: string): void {
    this.#held.delete(runId)
    this.#servings.release(runId, this)
    this.#servings.woke(this)
  }

  /** Takes nothing new any more, and is still told of what it loses. */
  drain(): void {
    if (this.#state === "takes") this.#leave("drains")
  }

  /** Takes nothing and is told nothing any more. What is claimed for it and not handed over yet is put back. */
  close(): void {
    if (this.#state === "closed") return
    this.#leave("closed")
    this.#servings.remove(this)
    for (const runId of this.#held.keys()) this.#servings.release(runId, this)
    this.#alarm.interruptUnsafe()
  }

  /** The same, because another connection takes its place. */
  replace(): void {
    this.close()
    this.#listener.onReplaced()
  }

  holds(runId: string, lease: number): boolean {
    return this.#held.get(runId) === lease
  }

  /** To be told of a run that it holds and that was written. */
  runChanged(run: RunRecord): void {
    const lease = this.#held.get(run.runId)
    // what was written under an earlier lease may be told later
    if (lease === undefined || run.leaseEpoch < lease) return
    if (!(run.status === "RUNNING" && run.leaseEpoch === lease)) {
      this.lose({ runId: run.runId, lease }, isTerminal(run.status))
    }
  }

  /** To be told of a run that it held and that another worker was given. */
  displaced(runId: string): void {
    const lease = this.#held.get(runId)
    if (lease !== undefined) this.lose({ runId, lease }, false)
  }

  lose(held: Held, ended: boolean): void {
    this.drop(held.runId)
    this.#listener.onLost(held, ended)
  }

  /** To be told when its worker was written. */
  workerChanged({ status }: Pick<WorkerRecord, "status">): void {
    if (status === "OFFLINE") {
      this.close()
      this.#listener.onForgotten()
    } else if (status === "DRAINING" && this.#state === "takes") {
      this.drain()
      this.#listener.onDrain()
    }
  }

  /** Asks for runs if there is room and reason to. */
  pump(): void {
    if (this.#state !== "takes") return
    const waiter = this.#waiter
    // what is handed to a worker that stands still waits for its lease to end, again and again
    const hasRoom = this.#listener.hasRoom.isOpen() && !this.#isSilent
    const room = hasRoom ? Math.min(maximumClaim, Math.max(0, this.#capacity - this.#held.size)) : 0
    waiter.room = room
    if (this.#asking) return
    if (room === 0) {
      this.#idle = false
      return
    }
    const { called } = waiter
    const isUnclear = !this.#idle || this.#isDue || waiter.again || waiter.slot !== undefined || waiter.leads.size > 0
    if (isUnclear || called >= room) this.#ask(room, true)
    else if (called > 0) this.#ask(called, false)
    else if (waiter.dueAt < this.#ringsAt) this.#bell.openUnsafe()
  }

  /** Its question is put now: it sees nothing that is committed from here on. */
  begun(): void {
    this.#waiter.queued = false
  }

  /** Deals with the answer to a claim, when everybody else has theirs. */
  claimed(): void {
    const reply = this.#reply
    this.#reply = undefined
    if (reply === undefined) return
    const { committer, waiters } = this.#needs
    if (this.#state === "closed") {
      for (const claimed of reply.runs) committer.putBack(claimed)
      return
    }
    this.#handOver(reply.runs)
    if (this.#state !== "takes") return
    const taken = reply.runs.map(({ run }) => run)
    if (taken.length >= this.#asked) {
      this.#asking = false
      this.#idle = !this.#askedAll
      waiters.took(this.#waiter, taken)
      if (this.#knownDueAt !== undefined) this.#waiter.dueAt = Math.min(this.#waiter.dueAt, this.#knownDueAt)
    } else if (reply.exhausted && this.#knownDueAt !== undefined && reply.now < this.#outlookAt + outlookMillis) {
      this.#waits(Math.min(this.#knownDueAt, this.#outlookAt + outlookMillis), none, taken)
    } else {
      this.#needs.fork(this.#lookOut(taken))
    }
    this.#servings.woke(this)
  }

  /** When its worker is silent for too long. */
  get #silentAt(): number {
    return this.#heardAt === undefined || this.#isSilent
      ? Number.POSITIVE_INFINITY
      : this.#heardAt + Math.max(this.#needs.silentMillis, this.patienceMillis)
  }

  #hold(runId: string, lease: number): void {
    const earlier = this.#held.get(runId)
    if (earlier !== undefined) this.#listener.onLost({ runId, lease: earlier }, false)
    this.#held.set(runId, lease)
    this.#servings.hold(runId, this)
  }

  #leave(state: "drains" | "closed"): void {
    const takes = this.#state === "takes"
    this.#state = state
    if (takes) this.#needs.waiters.remove(this.#waiter, [])
  }

  #ask(limit: number, all: boolean): void {
    const { committer, waiters } = this.#needs
    const waiter = this.#waiter
    this.#knownDueAt = this.#idle && !this.#isDue ? waiter.dueAt : undefined
    this.#isDue = false
    this.#asking = true
    this.#asked = limit
    this.#askedAll = all
    waiters.asks(waiter)
    // with less it may not see all that there is
    waiter.queued = all
    const { namespace, taskQueue, workerId, workflowTypes } = this.request
    committer.submit({ _tag: "ClaimRun", namespace, workerId, taskQueue, workflowTypes, limit }, (reply, now) =>
      this.#answered(reply, now)
    )
  }

  #answered(reply: Decision<Reply["ClaimRun"]>, now: number): void {
    this.#waiter.queued = false
    if (Result.isSuccess(reply)) {
      this.#reply = { ...reply.success, now }
      this.#servings.answered(this)
    } else if (this.#state === "takes") {
      this.#needs.fork(Effect.andThen(Effect.yieldNow, this.#refused(reply.failure)))
    }
  }

  /** Finds out why the worker got nothing; for reasons that may pass it asks again later. */
  readonly #refused = Effect.fnUntraced(function* (this: Serving, error: KagziError.KagziError) {
    if (error._tag === "PreconditionFailed") {
      const worker = yield* Effect.result(this.#needs.findWorker(this.request.workerId))
      if (Result.isSuccess(worker)) this.workerChanged(worker.success ?? { status: "OFFLINE" })
    }
    const now = yield* this.#needs.now
    this.#waits(now + patienceMillis, none, [])
    // it is not known what there is
    this.#idle = false
    this.#isDue = false
  })

  #waits(dueAt: number, heldUp: ReadonlySet<string>, taken: ReadonlyArray<RunRecord>): void {
    if (this.#state !== "takes") return
    this.#asking = false
    this.#idle = true
    this.#needs.waiters.waits(this.#waiter, dueAt, heldUp, taken)
    this.#servings.woke(this)
  }

  readonly #lookOut = Effect.fnUntraced(function* (this: Serving, taken: ReadonlyArray<RunRecord>) {
    const found = yield* Effect.result(this.#needs.reading.outlook(this.request))
    if (Result.isFailure(found)) return this.#waits((yield* this.#needs.now) + patienceMillis, none, taken)
    const outlook = found.success
    this.#outlookAt = outlook.now
    this.#waits(nextQuestion(outlook, this.#contended), outlook.heldUp, taken)
    this.#contended = outlook.dueAt <= outlook.now ? this.#contended + 1 : 0
  })

  #handOver(runs: ReadonlyArray<Claimed>): void {
    const slow: Array<Claimed> = []
    for (const claimed of runs) {
      const { claimedAt, lease, run } = claimed
      this.#hold(run.runId, lease)
      const input = this.#needs.inputs.take(run.runId)
      if (input === undefined || run.stepCount > 0) slow.push(claimed)
      else this.#listener.onTask({ run: { ...run, input }, lease, claimedAt, history: [], historyMore: false })
    }
    if (slow.length > 0) this.#needs.fork(Effect.forEach(slow, (claimed) => this.#load(claimed), { discard: true }))
  }

  readonly #load = Effect.fnUntraced(function* (this: Serving, claimed: Claimed) {
    const { runId } = claimed.run
    yield* this.#listener.hasRoom.await
    const task = yield* Effect.result(this.#needs.reading.load(claimed))
    const isHeld = this.holds(runId, claimed.lease)
    if (this.#state !== "closed" && isHeld && Result.isSuccess(task) && task.success !== undefined) {
      this.#listener.onTask(task.success)
    } else if (isHeld) {
      this.#needs.committer.putBack(claimed)
      if (this.#state !== "closed") this.drop(runId)
    }
  })

  /** Rings when a run that it knows of is due, and when its worker is silent for too long. */
  readonly #alarms = Effect.fnUntraced(function* (this: Serving) {
    for (;;) {
      this.#bell.closeUnsafe()
      const now = yield* this.#needs.now
      // first, since a lease may end at that moment that the worker should have renewed
      if (this.#silentAt <= now) {
        this.#isSilent = true
        this.#servings.woke(this)
      }
      const { dueAt } = this.#waiter
      const waits = !this.#asking && this.#state === "takes" && !this.#isSilent
      if (waits && dueAt <= now) {
        this.#isDue = true
        this.#servings.woke(this)
      }
      this.#ringsAt = Math.min(this.#silentAt, waits && dueAt > now ? dueAt : Number.POSITIVE_INFINITY)
      if (this.#ringsAt === Number.POSITIVE_INFINITY) yield* this.#bell.await
      else yield* Effect.raceFirst(this.#bell.await, Effect.sleep(this.#ringsAt - now))
    }
  })
}

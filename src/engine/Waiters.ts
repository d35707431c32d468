/**
 * Workers that wait for a run, and who of them is woken by what.
 *
 * A run that became claimable is announced to one waiter that can take it and has room. If that one takes other runs or
 * goes away, the run is announced to the next. A run that will be due sets the timers of all waiters that can take it.
 *
 * Waiters that found nothing but runs that a limit holds up are not told of more of those. Where a slot becomes free it
 * is offered to one of them, and then to the next, until one uses it.
 *
 * Of what other servers do it is not known which runs it concerns, nor how many. One waiter looks; if it gets as many as
 * it asked for, the next one looks, until one finds no more. So each server asks once where there is nothing.
 */
import { Registry } from "../Registry.ts"
import type { RunRecord } from "../store/Store.ts"
import type { Place } from "./lifecycle/limits.ts"

const queueKey = (place: Place) => `${place.namespace}\u0000${place.taskQueue}`

const none: ReadonlySet<string> = new Set()

/** The run that a waiter got. */
type Taken = Pick<RunRecord, "runId" | "workflowType">

/** Who waits on a task queue. */
interface Queue {
  readonly key: string
  readonly waiters: Set<Waiter>
  /** Those of them that runs wait for which a limit holds up. */
  readonly heldUp: Set<Waiter>
  /** How often a slot became free that could be offered to none of them. */
  freed: number
  /** For each type who was asked last to look for runs of it. */
  readonly looking: Map<string, Waiter>
}

/** Room for one more run, left by one of that type, and who was offered it. */
interface Slot {
  readonly workflowType: string
  readonly offered: Set<Waiter>
  /** There may be room for more than one. */
  readonly more: boolean
}

/** Runs of that type may have become due, and who was asked to look. */
interface Lead {
  readonly workflowType: string
  readonly asked: Set<Waiter>
}

export class Waiter {
  readonly queue: Queue
  readonly workerId: string
  readonly types: ReadonlySet<string>
  /** Called when the waiter is to ask, or has to be told of an earlier time to do so. */
  readonly wake: () => void
  /** Whether it goes on waiting when it got something. */
  readonly stays: boolean
  /** The most runs that it can take now. */
  room = 1
  /** Whether it is in the middle of asking the store, so that it may or may not see what is committed meanwhile. */
  asking = true
  /** Whether its question, for as many runs as it has room for, is to see what is committed until it is put. */
  queued = false
  /** It has to ask once more. */
  again = false
  /** The runs that were announced to it, by their ids. */
  readonly announced = new Registry<string, RunRecord>()
  /** How many runs it is expected to find that are about to be started. */
  expected = 0
  /** The slot that is offered to it. */
  slot: Slot | undefined
  /** What it is to look for with its next question, and what it looks for with the one that is under way. By type. */
  leads = new Map<string, Lead>()
  following = new Map<string, Lead>()
  /** Types of which a limit held runs up when it asked last, and how many slots nobody had been offered by then. */
  heldUp = none
  freed = 0
  /** When the earliest run it knows of is due. */
  dueAt = Number.POSITIVE_INFINITY

  constructor(queue: Queue, workerId: string, types: ReadonlyArray<string>, wake: () => void, stays: boolean) {
    this.queue = queue
    this.workerId = workerId
    this.types = new Set(types)
    this.wake = wake
    this.stays = stays
  }

  get isCalled(): boolean {
    return this.again || this.announced.size > 0 || this.slot !== undefined || this.leads.size > 0
  }

  /** How many runs there are for it, as far as is known. */
  get called(): number {
    return this.announced.size + this.expected
  }

  takes({ workflowType }: Pick<RunRecord, "workflowType">): boolean {
    return this.types.has(workflowType) && !this.heldUp.has(workflowType)
  }
}

export class Waiters {
  readonly #queues = new Map<string, Queue>()
  /** Runs announced and not changed since, and to whom. */
  readonly #open = new Map<string, Waiter>()

  add(place: Place, workerId: string, types: ReadonlyArray<string>, wake: () => void, stays = false): Waiter {
    const key = queueKey(place)
    const queue = this.#queues.get(key) ?? { key, waiters: new Set(), heldUp: new Set(), freed: 0, looking: new Map() }
    this.#queues.set(key, queue)
    const waiter = new Waiter(queue, workerId, types, wake, stays)
    queue.waiters.add(waiter)
    return waiter
  }

  /** Takes a waiter out, with the runs it got if it did; what it was called for and is still there goes to another. */
  remove(waiter: Waiter, taken: ReadonlyArray<Taken>): void {
    const { queue } = waiter
    queue.waiters.delete(waiter)
    queue.heldUp.delete(waiter)
    for (const [type, looking] of queue.looking) if (looking === waiter) queue.looking.delete(type)
    if (queue.waiters.size === 0) this.#queues.delete(queue.key)
    this.took(waiter, taken)
  }

  /** The waiter asks the store now. What it was called for is answered by that. */
  asks(waiter: Waiter): void {
    waiter.asking = true
    waiter.again = false
    waiter.following = waiter.leads
    waiter.leads = new Map()
    waiter.expected = 0
    waiter.dueAt = Number.POSITIVE_INFINITY
    waiter.freed = waiter.queue.freed
    waiter.heldUp = none
    waiter.queue.heldUp.delete(waiter)
  }

  /** The waiter got as many runs as it asked for. What it was called for and is still there goes to another. */
  took(waiter: Waiter, taken: ReadonlyArray<Taken>): void {
    waiter.asking = false
    const left = this.#close(waiter).filter(({ runId }) => !taken.some((run) => run.runId === runId))
    for (const run of left) this.#announce(run)
    const leads = [...waiter.following.values(), ...(this.#isIn(waiter) ? [] : waiter.leads.values())]
    waiter.following.clear()
    for (const lead of leads) this.#lead(lead, waiter.queue)
    this.#passOn(waiter, taken)
  }

  /**
   * The store had nothing more for the waiter but runs of types that a limit holds up, and what was announced is taken.
   * The next run that it can take is due at that time, as far as is known.
   */
  waits(waiter: Waiter, dueAt: number, heldUp: ReadonlySet<string>, taken: ReadonlyArray<Taken> = []): void {
    waiter.asking = false
    this.#close(waiter)
    waiter.following.clear()
    waiter.dueAt = Math.min(waiter.dueAt, dueAt)
    if (heldUp.size > 0) {
      waiter.heldUp = heldUp
      waiter.queue.heldUp.add(waiter)
      if (waiter.freed !== waiter.queue.freed) this.#callAgain(waiter)
    }
    this.#passOn(waiter, taken)
  }

  /** To be told of every run that was written, with the time of that. */
  runChanged(run: RunRecord, now: number): void {
    this.#open.delete(run.runId)
    if (run.dueAt === undefined) return
    if (run.dueAt <= now) this.#announce(run)
    else this.#schedule(run, run.dueAt)
  }

  /**
   * To be told of runs that the next transaction is to start: one of those that wait for more than one run may take it
   * with the same transaction. It is left alone where others wait, who have their turn when it is there.
   */
  starting(run: Place & Pick<RunRecord, "workflowType">): void {
    const waiters = this.#queues.get(queueKey(run))?.waiters
    let first: Waiter | undefined
    for (const waiter of waiters ?? []) {
      if (waiter.asking || !waiter.takes(run) || waiter.called >= waiter.room) continue
      if (!waiter.stays) return
      first ??= waiter
    }
    if (waiters === undefined || first === undefined) return
    first.expected++
    waiters.delete(first)
    waiters.add(first)
    first.wake()
  }

  /** To be told of every run that executes no more. */
  slotFreed(run: RunRecord): void {
    const queue = this.#queues.get(queueKey(run))
    if (queue === undefined) return
    this.#offer({ workflowType: run.workflowType, offered: new Set(), more: false }, queue)
  }

  /** To be told of runs that another server wrote, which may be claimed from then on. */
  runsDue({ dueAt, ...run }: Place & { readonly workflowType: string; readonly dueAt: number }, now: number): void {
    const queue = this.#queues.get(queueKey(run))
    if (queue === undefined) return
    if (dueAt > now) this.#schedule(run, dueAt)
    else this.#lead({ workflowType: run.workflowType, asked: new Set() }, queue)
  }

  /** To be told that runs may execute no more that another server had. */
  slotsFreed({ workflowType, ...place }: Place & { readonly workflowType: string }): void {
    const queue = this.#queues.get(queueKey(place))
    if (queue !== undefined) this.#offer({ workflowType, offered: new Set(), more: true }, queue)
  }

  /** Has the store asked for whatever there may be on each queue that someone waits on. */
  look(): void {
    for (const queue of this.#queues.values()) {
      for (const workflowType of new Set(Array.from(queue.waiters, ({ types }) => [...types]).flat())) {
        this.#lead({ workflowType, asked: new Set() }, queue)
        if (queue.heldUp.size > 0) this.#offer({ workflowType, offered: new Set(), more: true }, queue)
      }
    }
  }

  /** To be told of queues on which more runs may execute than before. */
  limitsRelaxed(place: Place): void {
    const queue = this.#queues.get(queueKey(place))
    if (queue === undefined) return
    queue.freed++
    for (const waiter of queue.heldUp) this.#callAgain(waiter)
  }

  /** To be told of workers that take no more runs: they are to find that out. */
  workerLeft(workerId: string): void {
    for (const { waiters } of this.#queues.values()) {
      for (const waiter of waiters) if (waiter.workerId === workerId) this.#callAgain(waiter)
    }
  }

  ringAll(): void {
    for (const { waiters } of this.#queues.values()) for (const waiter of waiters) this.#callAgain(waiter)
  }

  /** Forgets what was announced to a waiter; answers what of that is still there. */
  #close(waiter: Waiter): ReadonlyArray<RunRecord> {
    const open: Array<RunRecord> = []
    for (const run of waiter.announced.values()) {
      if (this.#open.get(run.runId) === waiter && this.#open.delete(run.runId)) open.push(run)
    }
    waiter.announced.clear()
    return open
  }

  /** Runs go to the waiters that have room in turn, the one called last coming last. */
  #announce(run: RunRecord): void {
    const waiters = this.#queues.get(queueKey(run))?.waiters
    if (waiters === undefined) return
    for (const waiter of waiters) {
      if (waiter.asking || waiter.called >= waiter.room || !waiter.takes(run)) continue
      // who is called already for another reason finds the run too
      if (waiter.isCalled && waiter.room === 1) continue
      waiter.announced.set(run.runId, run)
      this.#open.set(run.runId, waiter)
      waiters.delete(waiter)
      waiters.add(waiter)
      waiter.wake()
      return
    }
    for (const waiter of waiters) if (waiter.asking && !waiter.queued && waiter.takes(run)) waiter.again = true
  }

  /**
   * Has one waiter look, unless one is about to anyway. Where there is none that can ask now, one of those that are asking
   * asks once more: they may have asked before.
   */
  #lead(lead: Lead, queue: Queue): void {
    const { workflowType } = lead
    const looking = queue.looking.get(workflowType)
    if (looking !== undefined && looking.room > 0 && looking.leads.has(workflowType)) return
    let asking: Waiter | undefined
    for (const waiter of queue.waiters) {
      if (waiter.room === 0 || !waiter.takes(lead) || lead.asked.has(waiter)) continue
      if (!waiter.asking) {
        this.#follow(waiter, lead)
        return
      }
      asking ??= waiter
    }
    if (asking !== undefined) this.#follow(asking, lead)
  }

  #follow(waiter: Waiter, lead: Lead): void {
    const { queue } = waiter
    lead.asked.add(waiter)
    // what is asked by a question that is not put yet is answered by it
    if (waiter.asking && waiter.queued) {
      waiter.following.set(lead.workflowType, lead)
      return
    }
    waiter.leads.set(lead.workflowType, lead)
    queue.looking.set(lead.workflowType, waiter)
    queue.waiters.delete(waiter)
    queue.waiters.add(waiter)
    waiter.wake()
  }

  #isIn(waiter: Waiter): boolean {
    return waiter.queue.waiters.has(waiter)
  }

  #schedule(run: Place & Pick<RunRecord, "workflowType">, dueAt: number): void {
    for (const waiter of this.#queues.get(queueKey(run))?.waiters ?? []) {
      if (dueAt >= waiter.dueAt || !waiter.takes(run)) continue
      waiter.dueAt = dueAt
      waiter.wake()
    }
  }

  /**
   * Offers a slot to one waiter. Those that are called already ask after it became free, and need no offer. Where there
   * is none to offer it to, those that are asking may have asked before, and ask once more.
   */
  #offer(slot: Slot, queue: Queue): void {
    for (const waiter of queue.heldUp) {
      if (waiter.isCalled || waiter.room === 0 || slot.offered.has(waiter)) continue
      slot.offered.add(waiter)
      waiter.slot = slot
      waiter.wake()
      return
    }
    queue.freed++
  }

  /** A run of another type may have used another limit than the slot belongs to. */
  #passOn(waiter: Waiter, taken: ReadonlyArray<Taken>): void {
    const { queue, slot } = waiter
    waiter.slot = undefined
    if (slot === undefined) return
    const isUsed = slot.more
      ? waiter.heldUp.has(slot.workflowType)
      : taken.some(({ workflowType }) => workflowType === slot.workflowType)
    if (isUsed) return
    this.#offer(slot, queue)
  }

  #callAgain(waiter: Waiter): void {
    waiter.again = true
    waiter.wake()
  }
}

/**
 * Which commands go one after the other, where a store carries out several transactions at a time.
 *
 * Those of one run share a lane, so that they are carried out in the order in which they came. So do all that are not of
 * one run: starts, claims, what workers say of themselves, and what is done to schedules and namespaces. A start and the
 * claim that takes it are one transaction that way, and a worker's row is not waited for by one lane behind another.
 *
 * There are as many lanes as it takes to make up for the time that a transaction waits for the database and its disk.
 * Where that is short, more lanes make more and smaller transactions, which cost more than they save: on two cores that
 * the database shares, one lane carried out half as many runs again as four.
 */
import { Latch } from "effect"
import type { Command } from "./Command.ts"

const ofOneRun: { readonly [C in Command as C["_tag"]]: boolean } = {
  FindRun: true,
  CancelRun: true,
  TerminateRun: true,
  RetryRun: true,
  BeginStep: true,
  CompleteStep: true,
  FailStep: true,
  SleepStep: true,
  CancelStep: true,
  SuspendRun: true,
  ReleaseRun: true,
  CompleteRun: true,
  FailRun: true,
  StartRun: false,
  ClaimRun: false,
  RegisterWorker: false,
  Heartbeat: false,
  DeregisterWorker: false,
  DrainWorker: false,
  ExpireWorkers: false,
  CreateNamespace: false,
  UpdateNamespace: false,
  CreateSchedule: false,
  UpdateSchedule: false,
  PauseSchedule: false,
  ResumeSchedule: false,
  DeleteSchedule: false,
  TriggerSchedule: false,
  FireSchedule: false
}

/** The lane of everything that is not of one run. */
export const commonLane = 0

/** FNV-1a, of the end: ids of runs begin with the time. */
const hash = (id: string): number => {
  let sum = 0x811c9dc5
  for (let at = Math.max(0, id.length - 12); at < id.length; at++) {
    sum = Math.imul(sum ^ id.charCodeAt(at), 0x01000193)
  }
  return sum >>> 0
}

/** The lane of a command, of so many. */
export const laneOf = (command: Command, lanes: number): number =>
  lanes > 1 && ofOneRun[command._tag] && "runId" in command ? 1 + (hash(command.runId) % (lanes - 1)) : commonLane

/** Another lane for so many milliseconds that the fastest transaction takes. */
const millisPerLane = 2.5

/** A number that is the fastest of so few transactions says little. */
const fewest = 20

/** The fastest of the last one or two such times counts, in milliseconds. */
const windowMillis = 30_000

/** Finds out how many lanes are of use. */
export class Pace {
  readonly #most: number
  #fastest = Number.POSITIVE_INFINITY
  #before = Number.POSITIVE_INFINITY
  #count = 0
  #since = 0

  constructor(most: number) {
    this.#most = most
  }

  /** To be told how long each transaction took that wrote something, and when it ended. Answers the number of lanes. */
  lanes(tookMillis: number, now: number): number {
    if (now - this.#since > windowMillis) {
      this.#before = this.#fastest
      this.#fastest = Number.POSITIVE_INFINITY
      this.#since = now
    }
    this.#fastest = Math.min(this.#fastest, tookMillis)
    if (++this.#count < fewest) return 1
    return Math.max(1, Math.min(this.#most, Math.round(Math.min(this.#fastest, this.#before) / millisPerLane)))
  }
}

/** How long commands may wait for another number of lanes, in milliseconds. */
const patienceMillis = 100

/** How long to leave the number of lanes alone when one of them was held up, in milliseconds. */
const restMillis = 10_000

export interface Lane<A> {
  readonly index: number
  /** What waits, in order. */
  readonly submitted: Array<A>
  /** Rings when there are as many as are wanted. */
  readonly bell: Latch.Latch
  wanted: number
}

/** The lanes of a store, and what waits in them. */
export class Lanes<A extends { readonly command: Command }> {
  readonly all: ReadonlyArray<Lane<A>>
  readonly #busy = new Set<Lane<A>>()
  /** How many are in use, and how many are to be. */
  #inUse = 1
  #wanted = 1
  /** What comes while it is waited for that nothing is in any lane, so that the number of them can change. */
  #deferred: Array<A> | undefined
  /** When that began. */
  #deferredAt = 0
  /** Until then the number stays as it is. */
  #restsUntil = Number.NEGATIVE_INFINITY
  readonly #now: () => number

  /** `now` tells the time in milliseconds. */
  constructor(most: number, now: () => number) {
    this.#now = now
    this.all = Array.from({ length: most }, (_, index) => ({
      index,
      submitted: [],
      bell: Latch.makeUnsafe(),
      wanted: 1
    }))
  }

  get inUse(): number {
    return this.#inUse
  }

  push(item: A): void {
    if (this.#deferred !== undefined) {
      this.#deferred.push(item)
      // a lane that is held up, by a lock for instance, must not hold up the others
      if (this.#now() - this.#deferredAt > patienceMillis) this.#giveUp()
      return
    }
    const lane = this.all[laneOf(item.command, this.#inUse)]!
    lane.submitted.push(item)
    if (lane.submitted.length >= lane.wanted) lane.bell.openUnsafe()
  }

  /** Takes back what was not begun yet. */
  remove(item: A): void {
    for (const waiting of [...this.all.map(({ submitted }) => submitted), this.#deferred ?? []]) {
      const index = waiting.indexOf(item)
      if (index >= 0) waiting.splice(index, 1)
    }
  }

  /** The next of a lane, to be carried out. */
  take(lane: Lane<A>, most: number): ReadonlyArray<A> {
    this.#busy.add(lane)
    return lane.submitted.splice(0, most)
  }

  /**
   * Has the bell of a lane ring when so many wait there. False where they do already, or what comes would wait elsewhere
   * because the number of lanes changes.
   */
  gather(lane: Lane<A>, wanted: number): boolean {
    if (lane.submitted.length >= wanted || this.#deferred !== undefined) return false
    lane.wanted = wanted
    lane.bell.closeUnsafe()
    return true
  }

  /** It rings for whatever comes. */
  gathered(lane: Lane<A>): void {
    lane.wanted = 1
    lane.bell.openUnsafe()
  }

  /** What was taken is carried out. */
  done(lane: Lane<A>): void {
    this.#busy.delete(lane)
    this.#settle()
  }

  /** So many lanes are to be used. */
  want(lanes: number): void {
    if (this.#now() >= this.#restsUntil) this.#wanted = lanes
  }

  /** The lanes in which something waits. */
  waiting(): ReadonlyArray<Lane<A>> {
    this.#settle()
    return this.all.filter(({ submitted }) => submitted.length > 0)
  }

  #settle(): void {
    if (this.#deferred === undefined && this.#wanted === this.#inUse) return
    if (this.#deferred === undefined) {
      this.#deferred = []
      this.#deferredAt = this.#now()
      for (const lane of this.all) if (lane.wanted > 1) this.gathered(lane)
    }
    if (this.#busy.size > 0 || this.all.some(({ submitted }) => submitted.length > 0)) return
    this.#inUse = this.#wanted
    this.#resume()
  }

  /** Goes on with as many lanes as there are. */
  #giveUp(): void {
    this.#wanted = this.#inUse
    this.#restsUntil = this.#now() + restMillis
    this.#resume()
  }

  #resume(): void {
    const deferred = this.#deferred ?? []
    this.#deferred = undefined
    for (const item of deferred) this.push(item)
  }
}

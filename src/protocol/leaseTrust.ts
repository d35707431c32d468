/** How long a worker can be certain of the leases under which it holds runs, without asking. Times in milliseconds. */
import type { Clock } from "effect"

/**
 * A run that comes so soon after it was claimed has not been taken back. Servers do that with what the worker does not
 * name seconds later.
 */
const promptMillis = 1_000

/**
 * Leases are at least as long as two heartbeats take. Less than that is relied on, since servers may differ in what the
 * time is.
 */
const reliedOnHeartbeats = 1.75

/** A clock that is found to differ by so much from what it was before was set, or stood still. */
const setMillis = 100

/**
 * For so long it is not believed that the server's time has gone back: it may have been stopped together with its clocks,
 * and then gives leases that end early, until it has asked the database what the time is.
 */
const disbeliefMillis = 60_000

/** A sign of life that names the runs which the worker holds. */
export interface Sign {
  /** They are sent in this order. */
  readonly number: number
  readonly sentAt: number
}

export class LeaseTrust {
  readonly #clock: Clock.Clock
  readonly #reliedOn: number
  readonly #underWay = new Set<Sign>()
  #isHeard = false
  /** By how much the monotonic clock has fallen behind the wall clock, and how they differed then. */
  #behind = 0
  #difference = Number.POSITIVE_INFINITY
  #signs = 0
  /** How far the worker's time is ahead of the server's. */
  #least = Number.NEGATIVE_INFINITY
  #most = Number.POSITIVE_INFINITY
  /** Since when the server's time seems to have gone back. */
  #backSince: number | undefined

  constructor(clock: Clock.Clock, heartbeatMillis: number) {
    this.#clock = clock
    this.#reliedOn = reliedOnHeartbeats * heartbeatMillis
  }

  /**
   * The worker's time. It goes on as the monotonic clock does, which stands still while the machine is suspended, and with
   * the wall clock where that has gone on for longer.
   */
  #now(): number {
    const monotonic = Number(this.#clock.monotonicTimeNanosUnsafe()) / 1_000_000
    const difference = this.#clock.currentTimeMillisUnsafe() - monotonic
    if (difference > this.#difference) this.#behind += difference - this.#difference
    if (difference > this.#difference || difference < this.#difference - setMillis) this.#difference = difference
    return monotonic + this.#behind
  }

  /** There is another stream, or none. Nothing is certain until a sign of life is answered there. */
  reset(): void {
    this.#isHeard = false
    this.#underWay.clear()
  }

  /** A sign of life is sent now. */
  sent(): Sign {
    const sign = { number: ++this.#signs, sentAt: this.#now() }
    this.#underWay.add(sign)
    return sign
  }

  /** It is not under way any more. */
  ended(sign: Sign): void {
    this.#underWay.delete(sign)
  }

  /**
   * It was carried out at that time of the server, which is answered now. Gives until when the leases of the runs that it
   * names are good.
   */
  answered({ sentAt }: Sign, at: number): number {
    const now = this.#now()
    const isBack = sentAt - at > this.#most + setMillis
    if (isBack) this.#backSince ??= now
    else this.#backSince = undefined
    if (this.#backSince === undefined || now - this.#backSince > disbeliefMillis) this.#compare(sentAt - at, now - at)
    this.#isHeard = true
    return Math.min(sentAt, at + this.#least) + this.#reliedOn
  }

  /** The worker's time is ahead by something in between. Earlier answers may have told it more exactly. */
  #compare(least: number, most: number): void {
    this.#least = most < this.#least ? least : Math.max(this.#least, least)
    this.#most = least > this.#most ? most : Math.min(this.#most, most)
  }

  /**
   * Until when the lease of a run is good that has just come, however long it took to come. A sign of life that does not
   * name it may end its lease, though not at once.
   */
  goodUntil(claimedAt: number): number {
    if (this.#underWay.size > 0) return Number.NEGATIVE_INFINITY
    const claimed = claimedAt + this.#least
    return this.#now() < claimed + promptMillis ? claimed + this.#reliedOn : Number.NEGATIVE_INFINITY
  }

  /** Whether a lease is good for certain that is good until then. */
  isCertain(goodUntil: number): boolean {
    return this.#isHeard && this.#now() < goodUntil
  }
}

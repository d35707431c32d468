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

/** How many signs of life tell how the worker's clock and the server's compare. Most were answered without delay. */
const sampleCount = 3

/** A sign of life that names the runs which the worker holds. */
export interface Sign {
  readonly sentAt: number
}

export class LeaseTrust {
  readonly #clock: Clock.Clock
  readonly #reliedOn: number
  readonly #underWay = new Set<Sign>()
  /** How far the worker's clock is ahead of the server's, or less, by each of the latest signs of life. */
  #ahead: Array<number> = []
  #isHeard = false
  #offset = Number.NEGATIVE_INFINITY

  constructor(clock: Clock.Clock, heartbeatMillis: number) {
    this.#clock = clock
    this.#reliedOn = reliedOnHeartbeats * heartbeatMillis
  }

  /**
   * The worker's time. It goes on as the monotonic clock does and never falls further behind the wall clock, since that
   * goes on while the machine is suspended.
   */
  #now(): number {
    const monotonic = Number(this.#clock.monotonicTimeNanosUnsafe()) / 1_000_000
    this.#offset = Math.max(this.#offset, this.#clock.currentTimeMillisUnsafe() - monotonic)
    return monotonic + this.#offset
  }

  /** There is another stream, or none. Nothing is certain until a sign of life is answered there. */
  reset(): void {
    this.#isHeard = false
    this.#ahead = []
    this.#underWay.clear()
  }

  /** A sign of life is sent now. */
  sent(): Sign {
    const sign = { sentAt: this.#now() }
    this.#underWay.add(sign)
    return sign
  }

  /** It is not under way any more. */
  ended(sign: Sign): void {
    this.#underWay.delete(sign)
  }

  /** It was carried out at that time of the server. Answers until when the leases of the runs that it names are good. */
  answered({ sentAt }: Sign, now: number): number {
    this.#isHeard = true
    this.#ahead = [...this.#ahead.slice(1 - sampleCount), sentAt - now]
    return sentAt + this.#reliedOn
  }

  /**
   * Until when the lease of a run is good that has just come, however long it took to come. A sign of life that does not
   * name it may end its lease, though not at once.
   */
  goodUntil(claimedAt: number): number {
    if (this.#ahead.length === 0 || this.#underWay.size > 0) return Number.NEGATIVE_INFINITY
    const claimed = claimedAt + Math.max(...this.#ahead)
    return this.#now() < claimed + promptMillis ? claimed + this.#reliedOn : Number.NEGATIVE_INFINITY
  }

  /** Whether a lease is good for certain that is good until then. */
  isCertain(goodUntil: number): boolean {
    return this.#isHeard && this.#now() < goodUntil
  }
}

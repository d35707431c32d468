/**
 * Gives a body the ends of its steps one at a time, in the order in which the server recorded them.
 *
 * The order is what makes a race, or a failure among several branches, turn out on replay as it did the first time: the
 * body sees the same events in the same order, and each only when it has come to rest after the one before.
 */

/** An end that waits for its turn. */
export interface Delivery {
  readonly sequence: number
  /** Wakes the body; returns when the woken fiber blocks again. */
  readonly deliver: () => void
}

export class DeliveryQueue {
  readonly #ready = new Map<number, Delivery>()
  /** Ends past `#next` that have been delivered or will never be asked for. */
  readonly #passed = new Set<number>()
  /** Ends that arrived after their turn. */
  readonly #late: Array<number> = []
  #next = 1

  get size(): number {
    return this.#ready.size
  }

  add(delivery: Delivery): void {
    this.#ready.set(delivery.sequence, delivery)
    if (delivery.sequence < this.#next) this.#late.push(delivery.sequence)
  }

  /** Leaves out an end that no one is to see. */
  skip(sequence: number): void {
    this.#ready.delete(sequence)
    this.#pass(sequence)
  }

  /** The end whose turn it is, if it has arrived. */
  take(): Delivery | undefined {
    if (this.#ready.has(this.#next)) return this.#remove(this.#next)
    for (;;) {
      const late = this.#late.shift()
      if (late === undefined) return undefined
      const delivery = this.#remove(late)
      // Undefined when it was skipped since.
      if (delivery !== undefined) return delivery
    }
  }

  /** The earliest that has arrived, for when the one before it is never asked for: the code has changed. */
  takeEarliest(): Delivery | undefined {
    return this.#ready.size === 0 ? undefined : this.#remove(Math.min(...this.#ready.keys()))
  }

  #remove(sequence: number): Delivery | undefined {
    const delivery = this.#ready.get(sequence)
    this.#ready.delete(sequence)
    this.#pass(sequence)
    return delivery
  }

  #pass(sequence: number): void {
    if (sequence >= this.#next) this.#passed.add(sequence)
    while (this.#passed.delete(this.#next)) this.#next++
  }
}

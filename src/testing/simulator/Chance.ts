/** Random numbers that a seed determines. */

const hash = (text: string): number => {
  let value = 0x811c9dc5
  for (let index = 0; index < text.length; index++) {
    value = Math.imul(value ^ text.charCodeAt(index), 0x01000193)
  }
  // what differs in the last letter only is to differ everywhere
  value = Math.imul(value ^ (value >>> 16), 0x85ebca6b)
  value = Math.imul(value ^ (value >>> 13), 0xc2b2ae35)
  return (value ^ (value >>> 16)) >>> 0
}

/** A generator (sfc32). Those of different names are independent of each other, so that one may be used more or less. */
export class Chance {
  readonly name: string
  #a: number
  #b: number
  #c: number
  #d = 1

  constructor(name: string) {
    this.name = name
    this.#a = hash(name)
    this.#b = hash(`${name}~`)
    this.#c = hash(`~${name}`)
    for (let round = 0; round < 12; round++) this.#next()
  }

  /** A generator of its own for one purpose. */
  fork(purpose: string | number): Chance {
    return new Chance(`${this.name}/${purpose}`)
  }

  /** At least 0, and below 1. */
  fraction(): number {
    return this.#next() / 0x1_0000_0000
  }

  /** A whole number, both ends included. */
  between(from: number, to: number): number {
    return from + Math.floor(this.fraction() * (to - from + 1))
  }

  /** Whether something happens that is so likely. */
  happens(probability: number): boolean {
    return this.fraction() < probability
  }

  pick<A>(items: readonly [A, ...ReadonlyArray<A>]): A
  pick<A>(items: ReadonlyArray<A>): A | undefined
  pick<A>(items: ReadonlyArray<A>): A | undefined {
    return items[Math.floor(this.fraction() * items.length)]
  }

  bytes(size: number): Uint8Array {
    return Uint8Array.from({ length: size }, () => this.#next() & 0xff)
  }

  #next(): number {
    const sum = (((this.#a + this.#b) | 0) + this.#d) | 0
    this.#d = (this.#d + 1) | 0
    this.#a = this.#b ^ (this.#b >>> 9)
    this.#b = (this.#c + (this.#c << 3)) | 0
    this.#c = (this.#c << 21) | (this.#c >>> 11)
    this.#c = (this.#c + sum) | 0
    return sum >>> 0
  }
}

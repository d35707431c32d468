/** What happened, in order: the same for the same seed. */
import type { Loop } from "./Loop.ts"

export class Trace {
  /** Depends on every line so far. */
  digest = 0
  readonly lines: Array<string> = []
  readonly #loop: Loop
  readonly #start: number
  readonly #keep: boolean

  constructor(loop: Loop, keep: boolean) {
    this.#loop = loop
    this.#start = loop.now
    this.#keep = keep
  }

  /** Milliseconds of the true time since the beginning. */
  get at(): number {
    return this.#loop.now - this.#start
  }

  add(who: string, what: string): void {
    const line = `${String(this.at).padStart(7)} ${who}: ${what}`
    let digest = this.digest
    for (let index = 0; index < line.length; index++) digest = (Math.imul(digest, 31) + line.charCodeAt(index)) | 0
    this.digest = digest
    if (this.#keep) this.lines.push(line)
  }
}

/** Inputs of runs that were started a moment ago, so that whoever claims them soon need not read them from the store. */
import { Registry } from "../Registry.ts"
import type { Payload } from "../Run.ts"
import type { Changes } from "../store/Store.ts"

/** The most bytes that are kept in all, and of one input. */
const maximumBytes = 4_194_304
const largestBytes = 65_536

/** What an entry costs beside its bytes. */
const overhead = 256

export class Inputs {
  readonly #inputs = new Registry<string, Payload>()
  #bytes = 0

  /** To be told of everything that was written. */
  committed({ inputs }: Pick<Changes, "inputs">): void {
    for (const { payload, runId } of inputs) {
      if (payload.data.byteLength > largestBytes) continue
      this.#inputs.set(runId, payload)
      this.#bytes += payload.data.byteLength + overhead
    }
    if (this.#bytes <= maximumBytes) return
    for (const runId of this.#inputs.keys()) {
      if (this.#bytes <= maximumBytes) break
      this.take(runId)
    }
  }

  /** The input of a run if it is at hand, which it is not any more after that. */
  take(runId: string): Payload | undefined {
    const payload = this.#inputs.get(runId)
    if (payload === undefined) return undefined
    this.#inputs.delete(runId)
    this.#bytes -= payload.data.byteLength + overhead
    return payload
  }
}

/** Where witnesses sit in real processes. */
import type { Post } from "../../../src/testing/simulator/Witness.ts"

/** In a process, with the time of the machine. */
export const real = (name: string): Post => ({
  name,
  loop: {
    get now() {
      return Date.now()
    }
  }
})

/** There is the ledger to read. */
export const silent = { add: () => {} }

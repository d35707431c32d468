/**
 * Courses of events in which something was wrong once, and what it was. What a seed draws changes with the simulator, so
 * that the faults are kept too.
 */
import type { Fault } from "../../../src/testing/simulator/Faults.ts"

export interface Course {
  readonly what: string
  readonly seed: number
  readonly servers: number
  readonly faults: ReadonlyArray<Fault>
}

const unanswered: ReadonlyArray<Fault> = Array.from({ length: 60 }, (_, index) => ({
  _tag: "Mishap",
  machine: "server-1",
  transaction: 5 + 4 * index,
  mishap: "lose the answer"
}))

const untold: ReadonlyArray<Fault> = [1, 2, 3].map((server) => ({
  _tag: "Hints",
  machine: `server-${server}`,
  at: 0,
  lasts: 30_000,
  delay: 5_000,
  loss: 0.8,
  repetition: 0
}))

export const once: ReadonlyArray<Course> = [
  {
    what: "a client waited for good for the end of a run whose commit was not answered",
    seed: 11,
    servers: 1,
    faults: unanswered
  },
  { what: "runs started by way of another server were not taken", seed: 40, servers: 3, faults: [] },
  { what: "runs were not taken whose hints were lost", seed: 53, servers: 3, faults: untold }
]

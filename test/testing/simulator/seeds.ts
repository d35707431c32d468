/** Courses of events in which something was wrong once, and what it was. */
export const once: ReadonlyArray<readonly [seed: number, what: string]> = [
  [9, "a client waited for good for the end of a run whose commit was not answered"],
  [40, "runs started by way of another server were not taken"],
  [53, "the same, with hints lost"],
  [132, "a timer was half a second late"]
]

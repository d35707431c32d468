/** What courses of events are held against, and how it is said that something is not kept. */

/** The guarantees of the README by their numbers, each with the words it begins with; and what else is to hold. */
export const promises = {
  1: "A start that was acknowledged is never lost",
  2: "A step whose completion was acknowledged never runs again",
  3: "At most one writer per run: a worker that lost its lease can change nothing",
  4: "A timer is never early",
  5: "A start is idempotent per (namespace, id) and linearizable",
  6: "A schedule fires exactly one run per (schedule, slot)",
  limits: "No more runs execute at a time than workers have declared"
} as const

/** Safety is about what must never happen, liveness about what must happen once nothing goes wrong any more. */
export interface Violation {
  /** Its number in the README, or `limits`. */
  readonly promise: keyof typeof promises
  readonly kind: "safety" | "liveness"
  readonly message: string
}

/** A violation for people. */
export const tell = ({ kind, message, promise }: Violation): string =>
  `${kind} of ${promise === "limits" ? promise : `promise ${promise}`} ("${promises[promise]}"): ${message}`

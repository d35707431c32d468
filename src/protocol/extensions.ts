/** How peers that know our additions to the contract recognise each other. */
import { Result } from "effect"
import type { Read } from "./codec.ts"

/** The supported feature under which a server announces `ExecutionService` and the fields that go with it. */
export const executionFeature = "execution.v1"

/** The supported feature under which a server announces `SessionService`. */
export const sessionFeature = "session.v1"

/** The supported feature under which a server announces the time zone and the overlap policy of schedules. */
export const scheduleFeature = "schedules.v1"

/** The request header that carries the lease of the run with every step and run command. */
export const leaseHeader = "kagzi-lease"

/** The lease in a header; none from a peer that knows nothing of leases. */
export const readLease = (value: string | null): Read<number | undefined> => {
  if (value === null) return Result.succeed(undefined)
  const lease = Number(value)
  return value !== "" && Number.isSafeInteger(lease) && lease >= 0
    ? Result.succeed(lease)
    : Result.fail(`${leaseHeader} must be a whole number: ${value}`)
}

/** What of a server can be set, as far as its handlers need it. */
import { Context } from "effect"

/** The most bytes of one payload. */
export const MaxPayloadBytes = Context.Reference<number>("kagzi/server/MaxPayloadBytes", {
  defaultValue: () => 2_097_152
})

/** The longest that a long poll may wait: older peers give up after 65 seconds. */
export const longestPollMillis = 60_000

/**
 * The shortest and the longest time for which runs are kept after their end. The shortest leaves time for a start, or the
 * end of a run, to be sent again whose answer was lost.
 */
export const shortestRetentionMillis = 60_000
export const longestRetentionMillis = 100 * 365 * 86_400_000

/** What of a server can be set, as far as its handlers need it. */
import { Context } from "effect"

/** The most bytes of one payload. */
export const MaxPayloadBytes = Context.Reference<number>("kagzi/server/MaxPayloadBytes", {
  defaultValue: () => 2_097_152
})

/** The longest that a long poll may wait: older peers give up after 65 seconds. */
export const longestPollMillis = 60_000

import { assert, describe, it } from "@effect/vitest"
import { delayMillis, isListed, nextAttemptAt } from "../../../src/engine/lifecycle/retry.ts"
import * as RetryPolicy from "../../../src/RetryPolicy.ts"
import { longestWaitMillis } from "../../../src/Run.ts"
import { detail } from "./World.ts"

const policy = (options: RetryPolicy.Options) => RetryPolicy.resolve(RetryPolicy.make(options))

describe("the retry decision", () => {
  it("multiplies the delay by the coefficient after each attempt", () => {
    const given = policy({ initialInterval: 100, backoffCoefficient: 3, maximumInterval: 100_000 })
    assert.deepStrictEqual(
      [1, 2, 3, 4].map((attempt) => delayMillis(given, attempt, detail(), 0.5)),
      [100, 300, 900, 2_700]
    )
  })

  it("keeps the jitter within a fifth and below the maximum interval", () => {
    const given = policy({ initialInterval: 1_000, backoffCoefficient: 2, maximumInterval: 3_000 })
    assert.strictEqual(delayMillis(given, 1, detail(), 0), 800)
    assert.isAtMost(delayMillis(given, 1, detail(), 0.999_999), 1_200)
    assert.strictEqual(delayMillis(given, 3, detail(), 0.999_999), 3_000)
    assert.strictEqual(delayMillis(given, 3, detail(), 0), 2_400)
  })

  it("stays finite however many attempts there were", () => {
    assert.strictEqual(delayMillis(policy({ maximumAttempts: 0 }), 100_000, detail(), 0.5), 60_000)
    assert.strictEqual(delayMillis(policy({ initialInterval: 0 }), 100_000, detail(), 0.5), 0)
  })

  it("takes the delay that the error asks for instead of the policy's", () => {
    assert.strictEqual(delayMillis(policy({}), 1, detail({ retryAfterMillis: 123_456 }), 0), 123_456)
    assert.strictEqual(delayMillis(policy({}), 1, detail({ retryAfterMillis: 0 }), 0), 0)
    assert.strictEqual(delayMillis(policy({}), 1, detail({ retryAfterMillis: 1e300 }), 0), longestWaitMillis)
  })

  it("allows as many executions as the policy says, the first included", () => {
    const two = policy({ maximumAttempts: 2, initialInterval: 10 })
    assert.strictEqual(nextAttemptAt(two, 1, detail(), 1_000, 0.5), 1_010)
    assert.isUndefined(nextAttemptAt(two, 2, detail(), 1_000, 0.5))
    assert.isUndefined(nextAttemptAt(policy({ maximumAttempts: 1 }), 1, detail(), 1_000, 0.5))
    assert.isDefined(nextAttemptAt(policy({ maximumAttempts: 0 }), 1_000_000, detail(), 1_000, 0.5))
    assert.isDefined(nextAttemptAt(policy({}), 4, detail(), 1_000, 0.5))
    assert.isUndefined(nextAttemptAt(policy({}), 5, detail(), 1_000, 0.5))
  })

  it("does not retry what is marked as not retryable", () => {
    assert.isUndefined(nextAttemptAt(policy({}), 1, detail({ nonRetryable: true, retryAfterMillis: 1 }), 0, 0.5))
  })

  it("does not retry errors listed by code in any spelling, by tag, or by the start of their message", () => {
    const error = detail({
      code: "InvalidArgument",
      message: "card declined: 42",
      metadata: { "kagzi.tag": "CardDeclined" }
    })
    for (const entry of [
      "InvalidArgument",
      "INVALID_ARGUMENT",
      "ERROR_CODE_INVALID_ARGUMENT",
      "invalid_argument",
      "CardDeclined",
      "card declined"
    ]) {
      assert.isTrue(isListed([entry], error), entry)
      assert.isUndefined(nextAttemptAt(policy({ nonRetryableErrors: ["x", entry] }), 1, error, 0, 0.5), entry)
    }
    for (const entry of ["", "Internal", "declined", "Card", "carddeclined"]) {
      assert.isFalse(isListed([entry], error), entry)
    }
  })
})

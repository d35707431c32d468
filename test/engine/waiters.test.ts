import { assert, describe, it } from "@effect/vitest"
import { type Waiter, Waiters } from "../../src/engine/Waiters.ts"
import type { RunRecord } from "../../src/store/Store.ts"

const place = { namespace: "default", taskQueue: "orders" }

const ended: RunRecord = {
  ...place,
  runId: "0190abc1-2345-7789-abcd-ef0123456789",
  externalId: "order-1",
  workflowType: "order",
  version: "1",
  priority: 0,
  status: "COMPLETED",
  attempts: 1,
  createdAt: 0,
  leaseEpoch: 1,
  expiries: 0,
  stepCount: 0,
  sequence: 0,
  stepFailed: false
}

const full: ReadonlySet<string> = new Set(["order"])

/** Someone who waits with nothing but runs that a limit holds up. */
const heldUp = (waiters: Waiters): Waiter => {
  const waiter = waiters.add(place, "worker", ["order"], () => {})
  waiters.asks(waiter)
  waiters.waits(waiter, Number.POSITIVE_INFINITY, full)
  return waiter
}

describe("a slot that becomes free while someone asks", () => {
  it("does not make that one ask again when another was offered it", () => {
    const waiters = new Waiters()
    const resting = heldUp(waiters)
    const asking = waiters.add(place, "worker", ["order"], () => {})
    waiters.asks(asking)
    waiters.slotFreed(ended)
    waiters.waits(asking, Number.POSITIVE_INFINITY, full)
    assert.isTrue(resting.isCalled)
    assert.isFalse(asking.isCalled)
  })

  it("makes that one ask again when the other goes away, or can't use it", () => {
    for (const leaves of [true, false]) {
      const waiters = new Waiters()
      const resting = heldUp(waiters)
      const asking = waiters.add(place, "worker", ["order"], () => {})
      waiters.asks(asking)
      waiters.slotFreed(ended)
      if (leaves) waiters.remove(resting, [])
      else {
        waiters.asks(resting)
        waiters.waits(resting, Number.POSITIVE_INFINITY, full)
        assert.isFalse(resting.isCalled)
      }
      waiters.waits(asking, Number.POSITIVE_INFINITY, full)
      assert.isTrue(asking.isCalled)
    }
  })

  it("makes that one ask again when nobody else waits", () => {
    const waiters = new Waiters()
    const asking = waiters.add(place, "worker", ["order"], () => {})
    waiters.asks(asking)
    waiters.slotFreed(ended)
    waiters.waits(asking, Number.POSITIVE_INFINITY, full)
    assert.isTrue(asking.isCalled)
  })
})

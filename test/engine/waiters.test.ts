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

describe("runs that another server wrote", () => {
  const due = { ...place, workflowType: "order", dueAt: 5 }
  const idle = (waiters: Waiters, room = 1): Waiter => {
    const waiter = waiters.add(place, "worker", ["order"], () => {}, true)
    waiter.room = room
    waiters.asks(waiter)
    waiters.waits(waiter, Number.POSITIVE_INFINITY, new Set())
    return waiter
  }
  const called = (...waiters: ReadonlyArray<Waiter>) => waiters.map(({ isCalled }) => isCalled)
  const got = (waiters: Waiters, waiter: Waiter, runs: number) => {
    waiters.asks(waiter)
    const taken = Array.from({ length: runs }, (_, n) => ({ ...ended, runId: String(n) }))
    if (runs < waiter.room) waiters.waits(waiter, Number.POSITIVE_INFINITY, new Set(), taken)
    else waiters.took(waiter, taken)
  }

  it("are looked for by one waiter, however often they are told of, and by the next if that one fills up", () => {
    const waiters = new Waiters()
    const [a, b, c] = [idle(waiters), idle(waiters, 3), idle(waiters)]
    for (let n = 0; n < 3; n++) waiters.runsDue(due, 10)
    assert.deepStrictEqual(called(a, b, c), [true, false, false])
    got(waiters, a, 1)
    assert.deepStrictEqual(called(a, b, c), [false, true, false])
    got(waiters, b, 2)
    assert.deepStrictEqual(called(a, b, c), [false, false, false])
  })

  it("are looked for once more by one that is asking, and by another when it goes away", () => {
    const waiters = new Waiters()
    const a = idle(waiters)
    waiters.asks(a)
    waiters.runsDue(due, 10)
    waiters.waits(a, Number.POSITIVE_INFINITY, new Set())
    assert.isTrue(a.isCalled)
    const b = idle(waiters)
    waiters.remove(a, [])
    assert.isTrue(b.isCalled)
  })

  it("are not left to one that has no room any more", () => {
    const waiters = new Waiters()
    const a = idle(waiters)
    const b = idle(waiters)
    waiters.runsDue(due, 10)
    a.room = 0
    waiters.look()
    assert.isTrue(b.isCalled)
  })

  it("set the timers of waiters where they are due later", () => {
    const waiters = new Waiters()
    const a = idle(waiters)
    waiters.runsDue({ ...due, dueAt: 50 }, 10)
    assert.isFalse(a.isCalled)
    assert.strictEqual(a.dueAt, 50)
  })

  it("leave room under a limit to one waiter after the other, until it is used up", () => {
    const waiters = new Waiters()
    const [a, b, c] = [heldUp(waiters), heldUp(waiters), heldUp(waiters)]
    waiters.slotsFreed(due)
    assert.deepStrictEqual(called(a, b, c), [true, false, false])
    got(waiters, a, 1)
    assert.deepStrictEqual(called(a, b, c), [false, true, false])
    waiters.asks(b)
    waiters.waits(b, Number.POSITIVE_INFINITY, full)
    assert.deepStrictEqual(called(a, b, c), [false, false, false])
  })
})

import { assert, describe, it } from "@effect/vitest"
import { DeliveryQueue } from "../../src/worker/Delivery.ts"

const queueWith = (...sequences: ReadonlyArray<number>) => {
  const queue = new DeliveryQueue()
  for (const sequence of sequences) queue.add({ sequence, deliver: () => {} })
  return queue
}

describe("a delivery queue", () => {
  it("gives ends in the recorded order, whatever order they arrive in", () => {
    const queue = queueWith(3, 1)
    assert.strictEqual(queue.take()?.sequence, 1)
    assert.isUndefined(queue.take())
    queue.add({ sequence: 2, deliver: () => {} })
    assert.strictEqual(queue.take()?.sequence, 2)
    assert.strictEqual(queue.take()?.sequence, 3)
    assert.strictEqual(queue.size, 0)
  })

  it("goes past ends that are skipped, before or after they arrive", () => {
    const queue = queueWith(1, 3)
    queue.skip(1)
    assert.isUndefined(queue.take())
    queue.skip(2)
    assert.strictEqual(queue.take()?.sequence, 3)
  })

  it("gives the earliest out of turn when asked to, and the missing one when it comes after all", () => {
    const queue = queueWith(4, 2)
    assert.strictEqual(queue.takeEarliest()?.sequence, 2)
    assert.isUndefined(queue.take())
    queue.add({ sequence: 1, deliver: () => {} })
    assert.strictEqual(queue.take()?.sequence, 1)
    assert.isUndefined(queue.take())
    assert.strictEqual(queue.takeEarliest()?.sequence, 4)
    assert.isUndefined(queue.takeEarliest())
  })

  it("is not held up by a late end that is skipped", () => {
    const queue = queueWith(3, 4)
    assert.strictEqual(queue.takeEarliest()?.sequence, 3)
    assert.strictEqual(queue.takeEarliest()?.sequence, 4)
    queue.skip(1)
    queue.skip(2)
    for (const sequence of [1, 2, 5]) queue.add({ sequence, deliver: () => {} })
    queue.skip(1)
    assert.strictEqual(queue.take()?.sequence, 5)
    assert.strictEqual(queue.take()?.sequence, 2)
  })
})

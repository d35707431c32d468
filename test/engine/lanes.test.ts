import { assert, describe, it } from "@effect/vitest"
import type { Latch } from "effect"
import type { Command } from "../../src/engine/Command.ts"
import { commonLane, laneOf, Lanes, Pace } from "../../src/engine/lanes.ts"

const runId = (n: number) => `01980000-0000-7000-8000-${String(n).padStart(12, "0")}`
const find = (n: number): Command => ({ _tag: "FindRun", namespace: "default", runId: runId(n) })
const cancel = (n: number): Command => ({ _tag: "CancelRun", namespace: "default", runId: runId(n) })
const isOpen = (latch: Latch.Latch): boolean => {
  const wasClosed = latch.openUnsafe()
  if (wasClosed) latch.closeUnsafe()
  return !wasClosed
}
const drain: Command = { _tag: "DrainWorker", workerId: "w" }

describe("lanes", () => {
  it("are the same for all commands of a run, and used by about as many runs each", () => {
    const counts = [0, 0, 0, 0]
    for (let n = 0; n < 900; n++) {
      const lane = laneOf(find(n), 4)
      assert.strictEqual(laneOf(cancel(n), 4), lane)
      counts[lane]!++
    }
    assert.strictEqual(counts[commonLane], 0)
    for (const count of counts.slice(1)) assert.isAbove(count, 200)
    assert.strictEqual(laneOf(drain, 4), commonLane)
    assert.strictEqual(laneOf(find(1), 1), commonLane)
  })

  it("change in number when nothing is under way, so that the commands of a run stay in order", () => {
    const lanes = new Lanes<{ readonly command: Command; readonly n: number }>(4, () => 0)
    const [common] = lanes.all
    lanes.push({ command: find(1), n: 1 })
    lanes.push({ command: drain, n: 2 })
    const first = lanes.take(common!, 1)
    assert.deepStrictEqual(
      first.map(({ n }) => n),
      [1]
    )
    lanes.want(4)
    lanes.done(common!)
    assert.strictEqual(lanes.inUse, 1)
    // one is left over in the first lane, so that this one has to wait
    lanes.push({ command: cancel(1), n: 3 })
    assert.deepStrictEqual(
      lanes.all.map(({ submitted }) => submitted.map(({ n }) => n)),
      [[2], [], [], []]
    )
    lanes.take(common!, 1)
    assert.deepStrictEqual(lanes.waiting(), [])
    lanes.done(common!)
    assert.strictEqual(lanes.inUse, 4)
    assert.deepStrictEqual(
      lanes.waiting().map(({ index }) => index),
      [laneOf(cancel(1), 4)]
    )
  })

  it("ring when as many wait as are wanted, or when what comes has to wait elsewhere", () => {
    const lanes = new Lanes<{ readonly command: Command; readonly n: number }>(4, () => 0)
    const [common] = lanes.all
    assert.isTrue(lanes.gather(common!, 2))
    lanes.push({ command: drain, n: 1 })
    assert.isFalse(isOpen(common!.bell))
    lanes.push({ command: drain, n: 2 })
    assert.isTrue(isOpen(common!.bell))
    lanes.gathered(common!)
    assert.isFalse(lanes.gather(common!, 2))

    assert.isTrue(lanes.gather(common!, 3))
    assert.isFalse(isOpen(common!.bell))
    lanes.want(4)
    // it hears that the number is to change, and has to wait for what is in the lane
    lanes.waiting()
    assert.isTrue(isOpen(common!.bell))
    assert.isFalse(lanes.gather(common!, 3))
    lanes.take(common!, 2)
    lanes.done(common!)
    assert.strictEqual(lanes.inUse, 4)
  })

  it("stay as many as they are where one of them is held up, and hold nothing else up for that", () => {
    let now = 0
    const lanes = new Lanes<{ readonly command: Command; readonly n: number }>(4, () => now)
    const [common] = lanes.all
    const change = (count: number) => {
      lanes.push({ command: drain, n: 0 })
      lanes.take(common!, 1)
      lanes.want(count)
      lanes.done(common!)
    }
    change(4)
    const stuck = lanes.all[laneOf(find(1), 4)]!
    lanes.push({ command: find(1), n: 1 })
    lanes.take(stuck, 1)
    change(2)
    lanes.push({ command: drain, n: 2 })
    lanes.push({ command: cancel(1), n: 3 })
    assert.deepStrictEqual(lanes.waiting(), [])
    now = 101
    lanes.push({ command: drain, n: 4 })
    assert.deepStrictEqual(
      lanes.waiting().map(({ submitted }) => submitted.map(({ n }) => n)),
      [[2, 4], [3]]
    )
    assert.deepStrictEqual([lanes.inUse, lanes.waiting()[1]], [4, stuck])
    // and it is not tried again at once
    lanes.take(common!, 2)
    lanes.want(2)
    lanes.done(common!)
    change(2)
    lanes.push({ command: drain, n: 5 })
    assert.strictEqual(common!.submitted.length, 1)
    now = 11_000
    lanes.take(common!, 1)
    lanes.take(stuck, 1)
    lanes.want(2)
    lanes.done(stuck)
    lanes.done(common!)
    assert.strictEqual(lanes.inUse, 2)
  })

  it("give back what was not begun, wherever it waits", () => {
    const lanes = new Lanes<{ readonly command: Command }>(2, () => 0)
    const [common] = lanes.all
    const waiting = { command: drain }
    const deferred = { command: find(1) }
    lanes.push({ command: find(2) })
    lanes.take(common!, 1)
    lanes.push(waiting)
    lanes.want(2)
    lanes.done(common!)
    lanes.push(deferred)
    lanes.remove(waiting)
    lanes.remove(deferred)
    assert.deepStrictEqual(lanes.waiting(), [])
    assert.strictEqual(lanes.inUse, 2)
  })
})

describe("the number of lanes", () => {
  it("grows with the time that the fastest transaction takes, however busy the database is in between", () => {
    const settled = (millis: number) => {
      const pace = new Pace(4)
      let lanes = 0
      for (let n = 0; n < 100; n++) lanes = pace.lanes(n % 10 === 0 ? millis : millis * 20, n)
      return lanes
    }
    assert.deepStrictEqual([0.5, 1, 3, 4, 5.5, 8, 11, 50].map(settled), [1, 1, 1, 2, 2, 3, 4, 4])
  })

  it("follows a database that has become slower, after a while", () => {
    const pace = new Pace(4)
    for (let n = 0; n < 100; n++) assert.strictEqual(pace.lanes(1, n), 1)
    assert.strictEqual(pace.lanes(20, 40_000), 1)
    assert.strictEqual(pace.lanes(20, 75_000), 4)
  })
})

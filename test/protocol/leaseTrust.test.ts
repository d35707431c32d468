/** How long a worker is certain of a lease, by clocks that are set by hand. The server's time is a million ahead. */
import { assert, describe, it } from "@effect/vitest"
import { LeaseTrust } from "../../src/protocol/leaseTrust.ts"
import { makeClock } from "../../src/testing/simulator/Machine.ts"

const offset = 1_000_000

/** A worker that was told to show that it lives every ten seconds. */
const make = () => {
  const time = { monotonic: 5_000, wall: 70_000 }
  const clock = {
    ...makeClock(
      () => time.wall,
      () => () => undefined
    ),
    monotonicTimeNanosUnsafe: () => BigInt(time.monotonic) * 1_000_000n
  }
  const trust = new LeaseTrust(clock, 10_000)
  let server = offset
  const pass = (millis: number) => {
    time.monotonic += millis
    time.wall += millis
  }
  /** Shows that it lives, which takes so long to arrive, and its answer so long. Answers until when that is good. */
  const beat = (there = 0, back = 0) => {
    const sign = trust.sent()
    pass(there)
    const at = time.monotonic + server
    pass(back)
    trust.ended(sign)
    return trust.answered(sign, at)
  }
  const setServer = (millis: number) => {
    server += millis
  }
  return { time, trust, pass, beat, setServer, server: () => time.monotonic + server }
}

describe("a lease", () => {
  it("is certain for less than two heartbeats from when one was sent", () => {
    const { beat, pass, trust } = make()
    const goodUntil = beat(500)
    pass(16_999)
    assert.isTrue(trust.isCertain(goodUntil))
    pass(1)
    assert.isFalse(trust.isCertain(goodUntil))
  })

  it("is not certain over a new stream until a sign of life is answered there", () => {
    const { beat, trust } = make()
    const goodUntil = beat()
    trust.reset()
    assert.isFalse(trust.isCertain(goodUntil))
    beat()
    assert.isTrue(trust.isCertain(goodUntil))
  })

  it("ends in time when the machine was suspended, and when its clock was set", () => {
    for (const change of [
      (time: { wall: number }) => (time.wall += 17_500),
      (time: { monotonic: number; wall: number }) => {
        time.wall -= 3_600_000
        time.monotonic += 17_500
      }
    ]) {
      const { beat, time, trust } = make()
      const goodUntil = beat()
      assert.isTrue(trust.isCertain(goodUntil))
      change(time)
      assert.isFalse(trust.isCertain(goodUntil))
    }
  })

  it("ends in time when the machine was suspended after its clock was set back, and no sooner by clocks that tick apart", () => {
    const { beat, time, trust } = make()
    time.wall -= 3_600_000
    const goodUntil = beat()
    for (let n = 0; n < 1_000; n++) {
      time.wall += n % 2 === 0 ? 10 : -10
      assert.isTrue(trust.isCertain(goodUntil))
    }
    time.wall += 17_500
    assert.isFalse(trust.isCertain(goodUntil))
  })

  it("is as short as it is when the server's time has gone back, until that is how it is", () => {
    const { beat, pass, setServer, trust } = make()
    beat(20, 30)
    setServer(-5_000)
    const early = beat()
    pass(12_479)
    assert.isTrue(trust.isCertain(early))
    pass(1)
    assert.isFalse(trust.isCertain(early))
    setServer(-15_000)
    for (let n = 0; n < 4; n++) {
      pass(10_000)
      assert.isFalse(trust.isCertain(beat()))
    }
    // it was right after all, and is not once more
    setServer(20_000)
    assert.isTrue(trust.isCertain(beat()))
    setServer(-20_000)
    for (let n = 0; n < 7; n++) {
      assert.isFalse(trust.isCertain(beat()))
      pass(10_000)
    }
    assert.isTrue(trust.isCertain(beat()))
  })
})

describe("the lease of a run that comes", () => {
  const isGood = ({ trust }: ReturnType<typeof make>, claimedAt: number) => trust.isCertain(trust.goodUntil(claimedAt))

  it("is certain from its claim, by the server's clock", () => {
    const world = make()
    world.beat()
    world.pass(5_000)
    const claimedAt = world.server()
    world.pass(300)
    const goodUntil = world.trust.goodUntil(claimedAt)
    world.pass(17_199)
    assert.isTrue(world.trust.isCertain(goodUntil))
    world.pass(1)
    assert.isFalse(world.trust.isCertain(goodUntil))
  })

  it("is not certain while a sign of life is under way, nor when it took long to come", () => {
    const world = make()
    assert.isFalse(isGood(world, world.server()))
    world.beat()
    assert.isTrue(isGood(world, world.server()))
    const sign = world.trust.sent()
    assert.isFalse(isGood(world, world.server()))
    world.trust.ended(sign)
    const claimedAt = world.server()
    world.pass(999)
    assert.isTrue(isGood(world, claimedAt))
    world.pass(1)
    assert.isFalse(isGood(world, claimedAt))
  })

  it("is as certain as the promptest sign of life has it, until the server's time is found to have gone on", () => {
    const world = make()
    world.beat(1_500)
    // claimed as long ago, as far as is known
    assert.isFalse(isGood(world, world.server()))
    world.beat(0)
    world.beat(3_000)
    assert.isTrue(isGood(world, world.server()))
    const before = world.trust.goodUntil(world.server())
    world.setServer(60_000)
    world.beat(200, 300)
    assert.isTrue(isGood(world, world.server()))
    assert.approximately(world.trust.goodUntil(world.server()), before + 300, 1)
  })

  it("is not certain before a sign of life was answered over the stream that it comes over", () => {
    const world = make()
    world.beat()
    world.trust.sent()
    world.trust.reset()
    assert.isFalse(isGood(world, world.server()))
    world.beat()
    assert.isTrue(isGood(world, world.server()))
  })
})

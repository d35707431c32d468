import { assert, describe, it } from "@effect/vitest"
import { makeIds } from "../src/ids.ts"

const random = (size: number) => globalThis.crypto.getRandomValues(new Uint8Array(size))

const timeOf = (id: string) => Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16)

describe("ids", () => {
  it("are UUIDs of version 7 that tell when they were made", () => {
    const made = makeIds(random, () => 1_790_000_000_123)
    for (let n = 0; n < 1_000; n++) {
      const id = made()
      assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
      assert.strictEqual(timeOf(id), 1_790_000_000_123)
    }
  })

  it("each sort after the one before, many in a millisecond and while the clock goes back", () => {
    let now = 1_790_000_000_000
    const made = makeIds(random, () => now)
    let before = ""
    for (let n = 0; n < 20_000; n++) {
      if (n % 3_000 === 0) now -= 5
      if (n === 15_000) now += 60_000
      const id = made()
      assert.isAbove(id > before ? 1 : 0, 0, `${before} ${id}`)
      before = id
    }
    assert.isAtMost(timeOf(before) - now, 10 + 2)
  })

  it("differ between generators, and draw random bytes for many at once", () => {
    let draws = 0
    const counted = (size: number) => {
      draws++
      return random(size)
    }
    const all = new Set<string>()
    for (const made of [makeIds(counted, () => 5), makeIds(counted, () => 5)]) {
      for (let n = 0; n < 256; n++) all.add(made())
    }
    assert.deepStrictEqual([all.size, draws], [512, 2])
  })
})

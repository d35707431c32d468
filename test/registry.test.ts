import { assert, describe, it } from "@effect/vitest"
import { Registry } from "../src/Registry.ts"

describe("a registry", () => {
  it("keeps what is set, in the order in which keys came", () => {
    const registry = new Registry<string, number>()
    for (const [index, key] of ["a", "b", "c"].entries()) registry.set(key, index)
    registry.set("a", 10)
    assert.deepStrictEqual(registry.values(), [10, 1, 2])
    assert.strictEqual(registry.first, "a")
    assert.strictEqual(registry.size, 3)
  })

  it("forgets what is deleted, and comes last with what comes again", () => {
    const registry = new Registry<number, string>()
    for (let key = 0; key < 3; key++) registry.set(key, `${key}`)
    assert.isTrue(registry.delete(0))
    assert.isFalse(registry.delete(0))
    assert.isUndefined(registry.get(0))
    assert.isFalse(registry.has(0))
    registry.set(3, "3")
    registry.set(0, "again")
    assert.deepStrictEqual(registry.values(), ["1", "2", "3", "again"])
    assert.strictEqual(registry.get(3), "3")
  })

  it("works on after it was large and empty again", () => {
    const registry = new Registry<number, number>()
    for (let round = 0; round < 2; round++) {
      for (let key = 0; key < 5_000; key++) registry.set(key, key)
      assert.strictEqual(registry.get(4_999), 4_999)
      for (const key of registry.keys()) registry.delete(key)
      assert.deepStrictEqual(registry.values(), [])
    }
    registry.set(1, 2)
    assert.strictEqual(registry.get(1), 2)
  })

  it("gives a list of its own, so that it may change meanwhile", () => {
    const registry = new Registry<number, number>()
    for (let key = 0; key < 100; key++) registry.set(key, key)
    for (const value of registry.values()) if (value % 2 === 0) registry.delete(value)
    assert.strictEqual(registry.size, 50)
    registry.clear()
    assert.strictEqual(registry.size, 0)
    assert.isUndefined(registry.first)
    registry.set(7, 7)
    assert.deepStrictEqual(registry.values(), [7])
  })
})

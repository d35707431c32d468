import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import * as Branch from "../../src/worker/Branch.ts"

const owned = (path = "") => {
  const branch = Branch.make(path, 0, "run")
  branch.owner = 1
  return branch
}

const operation = (name?: string, key?: string): Branch.Operation => ({
  name,
  fallback: "sleep",
  key,
  site: new Error()
})

const nameOf = (result: Result.Result<Branch.Identity, Branch.AmbiguousStep>) =>
  Result.isSuccess(result) ? result.success.wireName : result.failure.message

describe("a step's identity", () => {
  it("is the plain name at first and numbered from then on", () => {
    const branch = owned()
    const names = [1, 2, 3].map(() => nameOf(Branch.identify(branch, 1, operation("charge"))))
    assert.deepStrictEqual(names, ["charge", "charge#2", "charge#3"])
  })

  it("has the key, whatever the order", () => {
    const branch = owned()
    assert.strictEqual(nameOf(Branch.identify(branch, 1, operation("charge", "b"))), "charge[b]")
    assert.strictEqual(nameOf(Branch.identify(branch, 1, operation("charge", "a"))), "charge[a]")
  })

  it("has the path of its branch", () => {
    const parent = owned()
    const child = Branch.child(parent, 2, "eu", "run")
    child.owner = 7
    const grandchild = Branch.child(child, 1, 0, "run")
    grandchild.owner = 8
    assert.strictEqual(nameOf(Branch.identify(child, 7, operation("ship"))), "ship@2.eu")
    assert.strictEqual(nameOf(Branch.identify(grandchild, 8, operation("ship"))), "ship@2.eu/1.0")
    assert.strictEqual(nameOf(Branch.identify(grandchild, 8, operation("ship"))), "ship@2.eu/1.0#2")
  })

  it("never coincides with that of another, however names and keys are written", () => {
    const branch = owned()
    const odd = ["a", "a#2", "a[b]", "a@1.0", "a%", "a%25", "a/b", "a.b", "a\u0000", "a\ud83d", "a\ude00", "a😀"]
    const names = odd.flatMap((name) => [
      nameOf(Branch.identify(branch, 1, operation(name))),
      nameOf(Branch.identify(branch, 1, operation(name))),
      nameOf(Branch.identify(branch, 1, operation(name, "b")))
    ])
    assert.strictEqual(new Set(names).size, names.length)
    for (const name of names) {
      assert.strictEqual(Branch.pathOf(name), "")
      // as it comes back from a server
      assert.strictEqual(new TextDecoder().decode(new TextEncoder().encode(name)), name)
      assert.notInclude(name, "\u0000")
    }
  })

  it("gives back the path of its branch, also when keys have odd characters", () => {
    const child = Branch.child(owned(), 3, "a@b/c#d.e", "run")
    child.owner = 2
    Branch.identify(child, 2, operation("s"))
    assert.strictEqual(Branch.pathOf(nameOf(Branch.identify(child, 2, operation("s")))), child.path)
  })
})

describe("a fiber without a branch of its own", () => {
  it("may use a name that no other fiber uses", () => {
    const branch = owned()
    assert.deepStrictEqual(Branch.identify(branch, 2, operation("a")), Result.succeed({ wireName: "a", foreign: true }))
    assert.deepStrictEqual(
      Branch.identify(branch, 2, operation("a")),
      Result.succeed({ wireName: "a#2", foreign: true })
    )
  })

  it("is refused a name that another fiber uses, and told both places and what to use instead", () => {
    const branch = owned()
    Branch.identify(branch, 2, operation("a"))
    const message = nameOf(Branch.identify(branch, 3, operation("a")))
    assert.include(message, "Workflow.all")
    assert.strictEqual(message.split("Branch.test.ts").length, 3)
  })

  it("is refused an operation without a name", () => {
    const message = nameOf(Branch.identify(owned(), 2, operation()))
    assert.include(message, "unnamed sleep")
    assert.include(message, "Workflow.timeout")
  })
})

describe("random numbers", () => {
  it("are the same for the same run and branch, and differ between branches", () => {
    const first = Branch.uuid(Branch.make("", 0, "run").random)
    assert.strictEqual(first, Branch.uuid(Branch.make("", 0, "run").random))
    assert.notStrictEqual(first, Branch.uuid(Branch.make("1.0", 0, "run").random))
    assert.match(first, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
  })
})

describe("a branch in a replay", () => {
  it("is behind until it has asked for what its earlier pass did, and so are the branches below it", () => {
    const main = owned()
    assert.isFalse(Branch.isBehind(main))
    main.recorded = { operations: 1, forks: 1 }
    const below = Branch.child(main, 1, "a", "run")
    assert.isTrue(Branch.isBehind(main))
    assert.isTrue(Branch.isBehind(below))
    main.operations = 1
    assert.isTrue(Branch.isBehind(main))
    main.forks = 1
    assert.isFalse(Branch.isBehind(main))
    assert.isFalse(Branch.isBehind(below))
    below.recorded = { operations: 1, forks: 0 }
    assert.isTrue(Branch.isBehind(below))
    assert.isFalse(Branch.isBehind(main))
  })

  it("knows the last combinator that each branch opened by what was recorded below", () => {
    const forks = Branch.recordedForks(["", "1.a", "3.b/2.x/10.y", "3.b/1.z"])
    assert.deepStrictEqual(Object.fromEntries(forks), { "": 3, "3.b": 2, "3.b/2.x": 10 })
  })
})

import { assert, describe, it } from "@effect/vitest"
import { fields, table } from "../../src/cli/table.ts"
import * as views from "../../src/cli/views.ts"

const payload = (text: string) => ({ data: new TextEncoder().encode(text), metadata: {} })

describe("a table", () => {
  it("has columns as wide as what they show", () => {
    assert.strictEqual(
      table(
        ["A", "B", "C"],
        [
          ["long", "x", ""],
          ["", "yy", "z"]
        ]
      ),
      ["A     B   C", "long  x", "      yy  z"].join("\n")
    )
  })

  it("counts the columns that a character takes on a terminal", () => {
    assert.strictEqual(table(["A", "B"], [["日本", "x"]]), "A     B\n日本  x")
  })

  it("shows what would steer the terminal as an escape", () => {
    assert.strictEqual(table(["A"], [["\u001b[2Jgone\n"]]), "A\n\\u001b[2Jgone\\n")
  })
})

describe("a list of fields", () => {
  it("leaves out what has no value", () => {
    assert.strictEqual(
      fields([
        ["One", "1"],
        ["Two", undefined],
        ["Three", "3"]
      ]),
      "One    1\nThree  3"
    )
  })
})

describe("the value of a payload", () => {
  it("keeps every digit of a number", () => {
    for (const text of ["12345678901234567890", "1.0", "-0", "1e400", "0.1234567890123456789"]) {
      assert.strictEqual(JSON.stringify(views.value(payload(`{"n":${text}}`))), `{"n":${text}}`)
    }
  })

  it("is its text where that is no JSON", () => {
    assert.strictEqual(views.value(payload("plain")), "plain")
  })

  it("is absent when there is none", () => {
    assert.strictEqual(views.value(undefined), undefined)
  })
})

import { assert, describe, it } from "@effect/vitest"
import { Effect, Result, Schema } from "effect"
import { Cron as Croner } from "croner"
import { parse, type Timetable } from "../../../src/engine/lifecycle/cron.ts"
import { slotAfter, slotBefore } from "../../../src/engine/lifecycle/slots.ts"

const read = (expression: string, zone = "UTC"): Timetable => {
  const parsed = parse(expression, zone)
  if (Result.isFailure(parsed)) assert.fail(`${expression}: ${parsed.failure.reason}`)
  return parsed.success
}

const at = (text: string) => Date.parse(text)

/** The slots in an interval of which both ends count. */
const slots = (expression: string, zone: string, from: string, to: string): ReadonlyArray<string> => {
  const table = read(expression, zone)
  const found: Array<string> = []
  let slot = slotAfter(table, at(from) - 1)
  while (slot !== undefined && slot <= at(to)) {
    found.push(new Date(slot).toISOString().replace(":00.000Z", "Z"))
    slot = slotAfter(table, slot)
  }
  return found
}

const next = (expression: string, from: string, zone = "UTC") => {
  const slot = slotAfter(read(expression, zone), at(from))
  return slot === undefined ? undefined : new Date(slot).toISOString().replace(".000Z", "Z")
}

describe("six fields", () => {
  const from = "2026-01-01T00:00:00Z" // a Thursday

  it("begin with the second", () => {
    assert.strictEqual(next("30 15 6 * * *", from), "2026-01-01T06:15:30Z")
    assert.strictEqual(next("*/20 * * * * *", "2026-01-01T00:00:20.001Z"), "2026-01-01T00:00:40Z")
  })

  it("count the days of the week from 1, Sunday", () => {
    assert.strictEqual(next("0 0 12 * * 1", from), "2026-01-04T12:00:00Z")
    assert.strictEqual(next("0 0 12 * * 7", from), "2026-01-03T12:00:00Z")
    for (const name of ["Sun", "SUNDAY", "sunday"]) {
      assert.strictEqual(next(`0 0 12 * * ${name}`, from), "2026-01-04T12:00:00Z")
    }
    assert.strictEqual(next("0 0 12 * * Tues-Thurs/2", from), "2026-01-01T12:00:00Z")
  })

  it("want the day of the month and the day of the week to fit", () => {
    assert.strictEqual(next("0 0 0 13 * Fri", from), "2026-02-13T00:00:00Z")
    assert.strictEqual(next("0 0 0 ? * Fri", from), "2026-01-02T00:00:00Z")
    assert.strictEqual(next("0 0 0 13 * ?", from), "2026-01-13T00:00:00Z")
  })

  it("find days that come once in decades", () => {
    assert.strictEqual(next("0 0 0 29 Feb Mon", "2024-03-01T00:00:00Z"), "2044-02-29T00:00:00Z")
    assert.strictEqual(next("0 0 0 29 February Sun", "2092-01-01T00:00:00Z"), "2128-02-29T00:00:00Z")
  })
})

describe("five fields", () => {
  const from = "2026-01-01T00:00:00Z"

  it("begin with the minute", () => {
    assert.strictEqual(next("0 6 * * *", from), "2026-01-01T06:00:00Z")
    assert.strictEqual(next("5/20 6 * * *", "2026-01-01T06:25:00Z"), "2026-01-01T06:45:00Z")
  })

  it("count the days of the week from 0 or up to 7, both Sunday", () => {
    for (const day of ["0", "7", "sun", "Sunday", "5-7/2"]) {
      assert.strictEqual(next(`0 12 * * ${day}`, "2026-01-02T23:00:00Z"), "2026-01-04T12:00:00Z", day)
    }
    assert.strictEqual(next("0 12 * * 1", from), "2026-01-05T12:00:00Z")
  })

  it("take a day that fits either by the month or by the week when both are restricted", () => {
    assert.strictEqual(next("0 0 13 * 5", from), "2026-01-02T00:00:00Z")
    assert.strictEqual(next("0 0 13 * 5", "2026-01-12T00:00:00Z"), "2026-01-13T00:00:00Z")
    assert.strictEqual(next("0 0 */2 * 5", from), "2026-01-09T00:00:00Z")
  })

  it("have nicknames", () => {
    assert.strictEqual(next("@daily", from), "2026-01-02T00:00:00Z")
    assert.strictEqual(next("@Weekly", from), "2026-01-04T00:00:00Z")
    assert.strictEqual(next("@hourly", from), "2026-01-01T01:00:00Z")
    assert.strictEqual(next("@yearly", from), "2027-01-01T00:00:00Z")
    assert.strictEqual(next("@monthly", from), "2026-02-01T00:00:00Z")
  })
})

describe("an expression that makes no sense", () => {
  for (const [expression, reason] of [
    ["", '"" has 0 fields, not 5 or 6'],
    ["* * * *", '"* * * *" has 4 fields, not 5 or 6'],
    ["0 0 0 1 1 * 2026", '"0 0 0 1 1 * 2026" has 7 fields, not 5 or 6'],
    ["60 * * * *", "minute: 60 is not between 0 and 59"],
    ["0 24 * * *", "hour: 24 is not between 0 and 23"],
    ["0 0 0 * *", "day of month: 0 is not between 1 and 31"],
    ["0 0 1 13 *", "month: 13 is not between 1 and 12"],
    ["0 0 * * 8", "day of week: 8 is not between 0 and 7"],
    ["0 0 0 * * 0", "day of week: 0 is not between 1 and 7"],
    ["0 0 0 * * 8", "day of week: 8 is not between 1 and 7"],
    ["0 0 * * ?", 'day of week: "?" makes no sense'],
    ["? 0 0 * * *", 'second: "?" makes no sense'],
    ["5-1 * * * *", 'minute: the range "5-1" runs backwards'],
    ["*/0 * * * *", 'minute: "0" is not a step of 1 or more'],
    ["*/ * * * *", 'minute: "" is not a step of 1 or more'],
    ["1,,2 * * * *", 'minute: "" makes no sense'],
    ["-1 * * * *", 'minute: "" makes no sense'],
    ["1.5 * * * *", 'minute: "1.5" makes no sense'],
    ["0 0 * * Someday", 'day of week: "Someday" makes no sense'],
    ["@reboot", '"@reboot" has 1 fields, not 5 or 6']
  ] as const) {
    it(`"${expression}" is refused: ${reason}`, () => {
      assert.deepStrictEqual(parse(expression, "UTC"), Result.fail({ argument: "cron_expr", reason }))
    })
  }
  it("and neither is a zone that does not exist taken", () => {
    assert.deepStrictEqual(
      parse("* * * * *", "Europe/Atlantis"),
      Result.fail({ argument: "timezone", reason: '"Europe/Atlantis" is no IANA time zone' })
    )
    assert.isTrue(Result.isFailure(parse("* * * * *", "")))
  })
})

describe("an expression without a day", () => {
  it("has no slot", () => {
    for (const expression of ["0 0 30 2 *", "0 0 0 31 4,6,9,11 *", "0 0 0 30 2 2"]) {
      assert.isUndefined(next(expression, "2026-01-01T00:00:00Z"))
      assert.isUndefined(next(expression, "2026-01-01T00:00:00Z", "Europe/Berlin"))
      assert.isUndefined(slotBefore(read(expression, "Europe/Berlin"), at("2026-01-01T00:00:00Z")))
    }
  })
})

describe("where clocks are put forward", () => {
  it("a time that is skipped stands for the instant at which it would have come", () => {
    assert.deepStrictEqual(slots("30 2 * * *", "Europe/Berlin", "2026-03-28T00:00Z", "2026-03-31T00:00Z"), [
      "2026-03-28T01:30Z",
      "2026-03-29T01:30Z",
      "2026-03-30T00:30Z"
    ])
    assert.deepStrictEqual(slots("0 30 2 * * *", "America/New_York", "2026-03-07T00:00Z", "2026-03-10T00:00Z"), [
      "2026-03-07T07:30Z",
      "2026-03-08T07:30Z",
      "2026-03-09T06:30Z"
    ])
  })

  it("a time of which an instant was taken already fires once", () => {
    assert.deepStrictEqual(slots("30 2,3 * * *", "Europe/Berlin", "2026-03-29T00:00Z", "2026-03-29T12:00Z"), [
      "2026-03-29T01:30Z"
    ])
    assert.deepStrictEqual(slots("0 * * * *", "America/New_York", "2026-03-08T05:00Z", "2026-03-08T09:00Z"), [
      "2026-03-08T05:00Z",
      "2026-03-08T06:00Z",
      "2026-03-08T07:00Z",
      "2026-03-08T08:00Z",
      "2026-03-08T09:00Z"
    ])
  })

  it("a day that is skipped counts too", () => {
    // Samoa had no 30 December 2011.
    assert.deepStrictEqual(slots("0 12 30 12 *", "Pacific/Apia", "2010-01-01T00:00Z", "2013-01-01T00:00Z"), [
      "2010-12-30T22:00Z",
      "2011-12-30T22:00Z",
      "2012-12-29T22:00Z"
    ])
  })
})

describe("where clocks are put back", () => {
  it("a time that comes twice fires once, the first time", () => {
    assert.deepStrictEqual(slots("30 2 * * *", "Europe/Berlin", "2026-10-24T00:00Z", "2026-10-27T00:00Z"), [
      "2026-10-24T00:30Z",
      "2026-10-25T00:30Z",
      "2026-10-26T01:30Z"
    ])
    assert.deepStrictEqual(slots("0,30 1 * * *", "America/New_York", "2026-11-01T00:00Z", "2026-11-02T00:00Z"), [
      "2026-11-01T05:00Z",
      "2026-11-01T05:30Z"
    ])
  })

  it("an expression that leaves the hour open fires in both hours", () => {
    assert.deepStrictEqual(slots("0 * * * *", "Europe/Berlin", "2026-10-24T23:00Z", "2026-10-25T02:00Z"), [
      "2026-10-24T23:00Z",
      "2026-10-25T00:00Z",
      "2026-10-25T01:00Z",
      "2026-10-25T02:00Z"
    ])
    assert.deepStrictEqual(slots("*/30 0-23 * * *", "America/New_York", "2026-11-01T05:00Z", "2026-11-01T06:59Z"), [
      "2026-11-01T05:00Z",
      "2026-11-01T05:30Z",
      "2026-11-01T06:00Z",
      "2026-11-01T06:30Z"
    ])
  })

  it("a search that begins in the repeated hour does not go back to it", () => {
    assert.strictEqual(next("15 2 * * *", "2026-10-25T01:05:00Z", "Europe/Berlin"), "2026-10-26T01:15:00Z")
    assert.strictEqual(next("45 2 * * *", "2026-10-25T00:30:00Z", "Europe/Berlin"), "2026-10-25T00:45:00Z")
  })
})

const zones = [
  "UTC",
  "Europe/Berlin",
  "America/New_York",
  "Australia/Lord_Howe",
  "Asia/Kolkata",
  "America/St_Johns",
  "Africa/Casablanca",
  "Pacific/Auckland",
  "America/Sao_Paulo",
  "Pacific/Chatham"
] as const

/** Minutes of the day in a zone, as the time zone database of the platform tells them, at most two days around a change. */
const clock = new Map<string, Intl.DateTimeFormat>()
const wallOf = (zone: string, instant: number): number => {
  let format = clock.get(zone)
  if (format === undefined) {
    format = new Intl.DateTimeFormat("en-US", {
      timeZone: zone,
      hourCycle: "h23",
      year: "numeric",
      month: "numeric",
      day: "numeric",
      hour: "numeric",
      minute: "numeric"
    })
    clock.set(zone, format)
  }
  const parts = format.formatToParts(instant)
  const part = (type: string) => Number(parts.find((candidate) => candidate.type === type)?.value)
  return Date.UTC(part("year"), part("month") - 1, part("day"), part("hour"), part("minute"))
}

/** A natural number that is brought into the range of where it is used. */
const Choice = Schema.Int.pipe(Schema.check(Schema.isBetween({ minimum: 0, maximum: 9_999 })))
const Part = Schema.Struct({
  form: Schema.Literals(["value", "range", "steps", "range/steps"]),
  a: Choice,
  b: Choice,
  n: Choice
})
const Field = Schema.Struct({
  form: Schema.Literals(["*", "*", "value", "list"]),
  parts: Schema.Array(Part).pipe(Schema.check(Schema.isMinLength(1), Schema.isMaxLength(3)))
})

/** A field of an expression as text. */
const write = ({ form, parts }: typeof Field.Type, min: number, max: number): string => {
  const value = (choice: number) => min + (choice % (max - min + 1))
  const part = ({ a, b, form, n }: typeof Part.Type): string => {
    const range = `${Math.min(value(a), value(b))}-${Math.max(value(a), value(b))}`
    const step = 1 + (n % Math.max(2, Math.floor(max / 2)))
    return { value: `${value(a)}`, range, steps: `*/${step}`, "range/steps": `${range}/${step}` }[form]
  }
  if (form === "*") return "*"
  return form === "value" ? `${value(parts[0]!.a)}` : parts.map(part).join(",")
}

const Zone = Schema.Literals(zones)
const Start = Schema.Int.pipe(
  Schema.check(Schema.isBetween({ minimum: at("2020-01-01T00:00Z") / 1000, maximum: at("2035-01-01T00:00Z") / 1000 }))
)

/** The same expression as a second implementation reads it. */
const croner = (expression: string, timezone: string) => {
  const six = expression.split(" ").length === 6
  const texts = expression.split(" ")
  // Days of the week that this one counts from 0, and the rule on days by an option.
  if (six) texts[5] = texts[5]!.replaceAll(/(^|[,-])(\d+)/g, (_, before, day) => `${before}${Number(day) - 1}`)
  const stars = texts.at(-1)!.startsWith("*") || texts.at(-3)!.startsWith("*")
  return new Croner(texts.join(" "), { timezone, paused: true, domAndDow: six || stars })
}

/** Whether the clock of the zone is changed within two days of the instant. */
const isChanged = (timezone: string, instant: number) => {
  const offset = (time: number) =>
    wallOf(timezone, Math.floor(time / 60_000) * 60_000) - Math.floor(time / 60_000) * 60_000
  return offset(instant - 172_800_000) !== offset(instant + 172_800_000)
}

const bounds = [
  [0, 59],
  [0, 59],
  [0, 23],
  [1, 31],
  [1, 12]
] as const

describe("on any expression", () => {
  it.effect.prop(
    "the slots are those of a second implementation, away from changes of the clock",
    { fields: Schema.Tuple([Field, Field, Field, Field, Field, Field]), six: Schema.Boolean, Zone, Start },
    ({ Start: seconds, Zone: timezone, fields, six }) =>
      Effect.sync(() => {
        const texts = [...bounds, six ? [1, 7] : [0, 6]].map(([min, max], index) => write(fields[index]!, min!, max!))
        const expression = (six ? texts : texts.slice(1)).join(" ")
        const table = read(expression, timezone)
        const other = croner(expression, timezone)
        let instant = seconds * 1000
        for (let turn = 0; turn < 4; turn++) {
          const slot = slotAfter(table, instant)
          const expected = other.nextRun(new Date(instant))
          // That one stops looking after some years.
          if (expected === null) {
            assert.isTrue(slot === undefined || slot > instant + 5 * 365 * 86_400_000)
            return
          }
          if (isChanged(timezone, instant) || isChanged(timezone, expected.getTime())) return
          assert.strictEqual(new Date(slot!).toISOString(), expected.toISOString(), `${expression} ${timezone}`)
          instant = slot!
        }
      }),
    { arbitrary: { runs: 600 } }
  )

  const changes = [
    ["Europe/Berlin", "2026-03-29"],
    ["Europe/Berlin", "2026-10-25"],
    ["America/New_York", "2026-03-08"],
    ["America/New_York", "2026-11-01"],
    ["Australia/Lord_Howe", "2026-10-03"],
    ["Australia/Lord_Howe", "2026-04-04"],
    ["America/St_Johns", "2026-03-08"],
    ["Pacific/Chatham", "2026-04-04"]
  ] as const
  const minutes = (timezone: string, day: string) => {
    const first = at(`${day}T00:00Z`) - 43_200_000
    return Array.from({ length: 2 * 1440 }, (_, minute) => ({
      instant: first + minute * 60_000,
      wall: wallOf(timezone, first + minute * 60_000)
    }))
  }

  /** What the rules say, minute by minute: each time on the wall, and the instants it stands for. */
  const expectedSlots = (expression: string, around: ReturnType<typeof minutes>) => {
    const table = read(expression)
    const everyHour = table.everyHour
    const found = new Set<number>()
    let highest = Number.NEGATIVE_INFINITY
    const matches = (wall: number) => slotAfter(table, wall - 1) === wall
    around.forEach(({ instant, wall }, index) => {
      const previous = around[index - 1]
      if ((everyHour || wall > highest) && matches(wall)) found.add(instant)
      if (previous !== undefined) {
        // Times on the wall that are skipped here.
        for (let skipped = previous.wall + 60_000; skipped < wall; skipped += 60_000) {
          if (matches(skipped)) found.add(previous.instant + (skipped - previous.wall))
        }
      }
      highest = Math.max(highest, wall)
    })
    return Array.from(found).sort((a, b) => a - b)
  }

  for (const [timezone, day] of changes) {
    const around = minutes(timezone, day)
    const from = around[0]!.instant
    const to = around.at(-1)!.instant
    it.effect.prop(
      `the slots around ${day} in ${timezone} are those that going minute by minute finds, forwards and backwards`,
      [Field, Field],
      ([minute, hour]) =>
        Effect.sync(() => {
          const expression = `${write(minute, 0, 59)} ${write(hour, 0, 4)} * * *`
          const table = read(expression, timezone)
          const expected = expectedSlots(expression, around).filter((slot) => slot < to - 7_200_000)
          const forwards: Array<number> = []
          for (let slot = slotAfter(table, from - 1); slot! < to - 7_200_000; slot = slotAfter(table, slot!)) {
            forwards.push(slot!)
          }
          assert.deepStrictEqual(forwards, expected, expression)
          const backwards: Array<number> = []
          for (let slot = slotBefore(table, to - 7_200_000); slot! >= from; slot = slotBefore(table, slot!)) {
            backwards.unshift(slot!)
          }
          assert.deepStrictEqual(backwards, expected, expression)
          // Wherever a search begins, it finds the next one of them.
          for (let instant = from; instant < to - 90_000_000; instant += 4_345_678) {
            const wanted = expected.find((slot) => slot > instant)
            if (wanted !== undefined) assert.strictEqual(slotAfter(table, instant), wanted, expression)
          }
        }),
      { arbitrary: { runs: 8 } }
    )
  }
})

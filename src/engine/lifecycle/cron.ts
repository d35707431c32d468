/**
 * Cron expressions, in the two dialects that the contract knows. The number of fields tells them apart.
 *
 * | | six fields | five fields |
 * |---|---|---|
 * | fields | second, minute, hour, day of month, month, day of week | minute, hour, day of month, month, day of week |
 * | read as | the Rust server reads them | crontab(5) does |
 * | day of week | 1 to 7, 1 is Sunday | 0 to 7, 0 and 7 are Sunday |
 * | both days restricted | a day that fits both | a day that fits either; not if one begins with `*` |
 * | `?` | any day | |
 *
 * Both take `*`, numbers, lists, ranges, steps (`*\/n`, `a-b/n`, `a/n` from `a` on), names of months and days in any case,
 * and the nicknames `@yearly`, `@annually`, `@monthly`, `@weekly`, `@daily`, `@midnight` and `@hourly`.
 */
import { Cron, DateTime, Option, Result } from "effect"

/** When a schedule fires, by the clock on the wall of its time zone. */
export interface Timetable {
  /** Matches times on the wall, taken for UTC. */
  readonly wall: Cron.Cron
  /** Absent for UTC, whose clock is never changed. */
  readonly zone: DateTime.TimeZone | undefined
  /** Whether it leaves the hour open: then an hour that the clock repeats is not a repetition. */
  readonly everyHour: boolean
}

/** Which argument is wrong and why. */
export interface Problem {
  readonly argument: "cron_expr" | "timezone"
  readonly reason: string
}

interface FieldRules {
  readonly name: string
  readonly min: number
  readonly max: number
  readonly names?: Readonly<Record<string, number>>
  readonly any?: string
}

const monthNames = [
  "january",
  "february",
  "march",
  "april",
  "may",
  "june",
  "july",
  "august",
  "september",
  "october",
  "november",
  "december"
]
const dayNames = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"]

/** Names in full and by their first three letters. */
const named = (names: ReadonlyArray<string>, first: number): Record<string, number> =>
  Object.fromEntries(
    names.flatMap((name, index) => [
      [name, first + index],
      [name.slice(0, 3), first + index]
    ])
  )

const months = named(monthNames, 1)
const rustDays = { ...named(dayNames, 1), tues: 3, thurs: 5 }

const second: FieldRules = { name: "second", min: 0, max: 59 }
const minute: FieldRules = { name: "minute", min: 0, max: 59 }
const hour: FieldRules = { name: "hour", min: 0, max: 23 }
const dayOfMonth: FieldRules = { name: "day of month", min: 1, max: 31 }
const month: FieldRules = { name: "month", min: 1, max: 12, names: months }

const sixFields = [
  second,
  minute,
  hour,
  { ...dayOfMonth, any: "?" },
  month,
  { name: "day of week", min: 1, max: 7, names: rustDays, any: "?" }
] as const satisfies ReadonlyArray<FieldRules>

const fiveFields = [
  minute,
  hour,
  dayOfMonth,
  month,
  { name: "day of week", min: 0, max: 7, names: named(dayNames, 0) }
] as const satisfies ReadonlyArray<FieldRules>

const nicknames: Readonly<Record<string, string>> = {
  "@yearly": "0 0 1 1 *",
  "@annually": "0 0 1 1 *",
  "@monthly": "0 0 1 * *",
  "@weekly": "0 0 * * 0",
  "@daily": "0 0 * * *",
  "@midnight": "0 0 * * *",
  "@hourly": "0 * * * *"
}

type Read<A> = Result.Result<A, string>

const readValue = (text: string, rules: FieldRules): Read<number> => {
  const value = /^\d{1,4}$/.test(text) ? Number(text) : rules.names?.[text.toLowerCase()]
  if (value === undefined) return Result.fail(`${rules.name}: "${text}" makes no sense`)
  return value < rules.min || value > rules.max
    ? Result.fail(`${rules.name}: ${value} is not between ${rules.min} and ${rules.max}`)
    : Result.succeed(value)
}

const readBounds = (text: string, hasStep: boolean, rules: FieldRules): Read<readonly [number, number]> => {
  if (text === "*" || text === rules.any) return Result.succeed([rules.min, rules.max])
  const dash = text.indexOf("-")
  if (dash < 0) return Result.map(readValue(text, rules), (value) => [value, hasStep ? rules.max : value])
  return Result.gen(function* () {
    const from = yield* readValue(text.slice(0, dash), rules)
    const to = yield* readValue(text.slice(dash + 1), rules)
    if (from > to) return yield* Result.fail(`${rules.name}: the range "${text}" runs backwards`)
    return [from, to] as const
  })
}

const readPart = (text: string, rules: FieldRules): Read<ReadonlyArray<number>> =>
  Result.gen(function* () {
    const slash = text.indexOf("/")
    const stepText = slash < 0 ? undefined : text.slice(slash + 1)
    const step = stepText === undefined ? 1 : /^\d{1,4}$/.test(stepText) ? Number(stepText) : 0
    if (step === 0) return yield* Result.fail(`${rules.name}: "${stepText}" is not a step of 1 or more`)
    const [from, to] = yield* readBounds(slash < 0 ? text : text.slice(0, slash), slash >= 0, rules)
    const values: Array<number> = []
    for (let value = from; value <= to; value += step) values.push(value)
    return values
  })

const readField = (text: string, rules: FieldRules): Read<ReadonlySet<number>> =>
  Result.map(Result.all(text.split(",").map((part) => readPart(part, rules))), (parts) => new Set(parts.flat()))

/** Absent where the field leaves the day open. */
const days = (text: string, values: ReadonlySet<number>): ReadonlySet<number> =>
  text === "*" || text === "?" ? new Set() : values

const readExpression = (expression: string): Read<Omit<Timetable, "zone">> => {
  const written = expression.trim()
  const texts = (nicknames[written.toLowerCase()] ?? written).split(/\s+/)
  const six = texts.length === 6
  if (!six && texts.length !== 5) {
    return Result.fail(`"${written.slice(0, 100)}" has ${written === "" ? 0 : texts.length} fields, not 5 or 6`)
  }
  const read = Result.all((six ? sixFields : fiveFields).map((rules, index) => readField(texts[index]!, rules)))
  return Result.map(read, (fields) => {
    const [seconds, minutes, hours, dates, monthsOfYear, weekdays] = six ? fields : [new Set([0]), ...fields]
    const [dateText, weekdayText] = six ? [texts[3]!, texts[5]!] : [texts[2]!, texts[4]!]
    return {
      wall: Cron.make({
        seconds: seconds!,
        minutes: minutes!,
        hours: hours!,
        days: days(dateText, dates!),
        months: monthsOfYear!,
        // Effect counts the days of the week from 0, Sunday; it takes 7 for Sunday too.
        weekdays: days(weekdayText, six ? new Set(Array.from(weekdays!, (day) => day - 1)) : weekdays!),
        and: six || dateText.startsWith("*") || weekdayText.startsWith("*"),
        // kept by Effect; the first one loads what is known about all zones, which is large
        tz: DateTime.zoneMakeNamedUnsafe("UTC")
      }),
      everyHour: hours!.size === 24
    }
  })
}

const readZone = (timezone: string): Read<DateTime.TimeZone | undefined> => {
  if (timezone === "UTC") return Result.succeed(undefined)
  const zone = DateTime.zoneMakeNamed(timezone)
  return Option.isSome(zone)
    ? Result.succeed(zone.value)
    : Result.fail(`"${timezone.slice(0, 100)}" is no IANA time zone`)
}

/** Reads an expression and an IANA time zone. */
export const parse = (expression: string, timezone: string): Result.Result<Timetable, Problem> =>
  Result.gen(function* () {
    const problem = (argument: Problem["argument"]) => (reason: string) => ({ argument, reason })
    const read = yield* Result.mapError(readExpression(expression), problem("cron_expr"))
    const zone = yield* Result.mapError(readZone(timezone), problem("timezone"))
    return { ...read, zone }
  })

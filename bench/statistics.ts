/** Figures from samples. */

/** The sample at a place between 0 and 1 in their order. */
export const percentile = (samples: ReadonlyArray<number>, place: number): number => {
  const ordered = samples.toSorted((a, b) => a - b)
  return ordered[Math.min(ordered.length - 1, Math.floor(ordered.length * place))] ?? Number.NaN
}

export const median = (samples: ReadonlyArray<number>): number => percentile(samples, 0.5)

export const round = (value: number, digits = 1): number => Number(value.toFixed(digits))

/**
 * Unfinished runs as they are in the file, kept in memory: only this process writes the file, so that what it wrote last is what
 * is there. A run that executes is touched by many transactions, and need not be read and decoded for each.
 *
 * What a transaction writes is kept apart until it is on disk, and forgotten when it is rolled back.
 */
import { Registry } from "../../Registry.ts"
import { isTerminal } from "../../Run.ts"
import type { RunRecord } from "../Store.ts"

/** A run and the key of its row, by which its payloads and steps know it. */
export interface StoredRun {
  readonly seq: number
  readonly run: RunRecord
}

/** So many runs, and as many again that were used before them: some 8 MB in all. */
const generation = 4_096

export class RunCache {
  #young = new Registry<string, StoredRun>()
  #old = new Registry<string, StoredRun>()
  /** A new one for each transaction: what a Map held before stays reachable from it for long (see `Registry`). */
  #written = new Map<string, StoredRun>()

  /** The run as the transaction sees it that is under way, if it is kept. */
  get(runId: string): StoredRun | undefined {
    const known = this.#written.get(runId) ?? this.#young.get(runId)
    if (known !== undefined) return known
    const old = this.#old.get(runId)
    if (old !== undefined) this.keep(old)
    return old
  }

  /** Keeps a run that was read, or written for good. */
  keep(stored: StoredRun): void {
    // Nothing follows the end of a run, and its error may be large.
    if (isTerminal(stored.run.status)) {
      this.#forget(stored.run.runId)
      return
    }
    if (this.#young.size >= generation) {
      this.#old = this.#young
      this.#young = new Registry()
    }
    this.#young.set(stored.run.runId, stored)
  }

  /** Notes a run that the transaction wrote. */
  write(stored: StoredRun): void {
    this.#written.set(stored.run.runId, stored)
  }

  committed(): void {
    for (const stored of this.#written.values()) this.keep(stored)
    this.#written = new Map()
  }

  rolledBack(): void {
    this.#written = new Map()
  }

  #forget(runId: string): void {
    this.#young.delete(runId)
    this.#old.delete(runId)
  }
}

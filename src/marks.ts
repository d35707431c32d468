/**
 * What Kagzi itself writes into the metadata of errors, for a reader in another room or on another machine. Part of the
 * wire: a changed name is not understood by what has been recorded before.
 */

/** The name of a failure's class, which `nonRetryableErrors` of a policy can list. */
export const tagMark = "kagzi.tag"

/** The run was terminated; the value is `true`. */
export const terminatedMark = "kagzi.terminated"

/** The step's branch lost a race; the value is `true`. */
export const cancelledMark = "kagzi.cancelled"

/** The code of a workflow asks for a step of another kind than the one on record, whose kind is the value. */
export const mismatchMark = "kagzi.mismatch"

/** A command was refused for the state of its run, which is the value. */
export const runStatusMark = "kagzi.run"

/** A command was refused because its lease is gone; the value is `lost`. */
export const leaseMark = "kagzi.lease"

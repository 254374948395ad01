// What `mixtral-wasm/batch` exports: files of requests, their results, and the check of these, apart from the library's
// own barrel, so that importing the library loads none of it.

export { type MergeOptions, type MergeSummary, mergeBatch } from './interfaces/batch/mergeBatch.js'
export {
  batchStatus,
  type CollectOptions,
  collectBatch,
  type QueuedBatch,
  type QueuedStatus,
  type SubmitOptions,
  submitBatch,
} from './interfaces/batch/queueBatches.js'
export { type WorkOptions, type WorkProgress, type WorkSummary, workBatch } from './interfaces/batch/queueWorker.js'
export { type BatchOptions, type BatchProgress, type BatchSummary, runBatch } from './interfaces/batch/runBatch.js'
export { type BatchVerdict, type VerifyBatchOptions, verifyBatch } from './interfaces/batch/verifyBatch.js'
export type { ModelMark } from './interfaces/server/modelMark.js'

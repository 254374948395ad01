// What the package exports: the only barrel of the library, and nothing but a list. What few programs call loads its
// own code when it is called, so that importing the library stays cheap.

export { type ConvertOptions, type ConvertResult, convertCheckpoint } from './authoring/convert/convert.js'
export { type ConvertAdapterOptions, type ConvertAdapterResult, convertAdapter } from './authoring/convert/convertAdapter.js'
export type { ElementType } from './authoring/convert/elementType.js'
export { collectImatrix, type ImatrixOptions, type ObservedModel } from './authoring/imatrix/collect.js'
export type { Imatrix, ImatrixEntry } from './authoring/imatrix/imatrix.js'
export { readImatrix, writeImatrix } from './authoring/imatrix/imatrixFile.js'
export type { RareExpert } from './authoring/imatrix/rareExperts.js'
export type { MergedTensor } from './authoring/quantize/adapterMerge.js'
export type { ExpertLayout } from './authoring/quantize/expertLayout.js'
export { type QuantizeOptions, type QuantizeResult, quantizeModel } from './authoring/quantize/quantize.js'
export { type QuantizeType, quantizeTypes } from './authoring/quantize/quantizePlan.js'
export { type ErrorDetails, MixtralError, type MixtralErrorCode, type PartialAnswer } from './base/errors.js'
export type { LayerDifference } from './evaluation/experts/domainBlocks.js'
export type { DomainStatistics, LayerStatistics, RoutedBeginning } from './evaluation/experts/domainFigures.js'
export {
  type DomainComparison,
  type DomainText,
  type ExpertStatistics,
  type ExpertStatisticsOptions,
  expertStatistics,
} from './evaluation/experts/expertStatistics.js'
export type { FavoriteToken } from './evaluation/experts/favoriteTokens.js'
export type { LoadBalance } from './evaluation/experts/loadBalance.js'
export type { RoutingShape } from './evaluation/experts/routingCounts.js'
export { type DivergenceResult, measureDivergence } from './evaluation/perplexity/divergence.js'
export type { EvaluatedModel, PassOptions } from './evaluation/perplexity/evaluate.js'
export { LogitsFile } from './evaluation/perplexity/logitsFile.js'
export { measurePerplexity, type PerplexityOptions, type PerplexityResult } from './evaluation/perplexity/perplexity.js'
export type { Distribution, Estimate } from './evaluation/perplexity/statistics.js'
export type { WindowOptions, WindowProgress, Windows } from './evaluation/perplexity/windows.js'
export type { Tap } from './evaluation/reference/layer.js'
export { Reference, type ReferenceOptions } from './evaluation/reference/reference.js'
export { evaluateTask } from './evaluation/tasks/evaluateTask.js'
export type { TaskName } from './evaluation/tasks/taskForms.js'
export type { TaskOptions, TaskProgress, TaskResult } from './evaluation/tasks/taskRun.js'
export type { Accuracy, AccuracyOf } from './evaluation/tasks/taskScores.js'
export type { Fault } from './evaluation/verify/stageCheck.js'
export { type LayerVerdict, type Verdict, type Verification, type VerifyOptions, verifyModel } from './evaluation/verify/verify.js'
export type { GgmlType } from './format/gguf/ggmlType.js'
export type { Gguf, GgufTensor, GgufValue } from './format/gguf/gguf.js'
export type { GgufScalarType, GgufValueType } from './format/gguf/valueType.js'
export type { PullOptions, PullProgress } from './registry/pull.js'
export { HuggingFace, OllamaRegistry } from './registry/registries.js'
export type { ListedModel, LocalModel } from './registry/stores/localModels.js'
export type { OllamaLayers, ParamValue as OllamaParameter } from './registry/stores/ollamaLayers.js'
export type { AdapterChoice } from './runtime/adapters/adapterSet.js'
export type { CallOptions, ForwardOptions, TokenIds } from './runtime/engine/callArguments.js'
export type { WeightFindings } from './runtime/engine/check/weightFindings.js'
export type { EngineOptions as LoadOptions, Progress } from './runtime/engine/engineOptions.js'
export type { LoadedAdapter } from './runtime/engine/loadedAdapters.js'
export type { RoutedToken } from './runtime/engine/routingListeners.js'
export type { EngineStatus, LoopFigures } from './runtime/engine/status.js'
export type { KernelBuild, KvFormat } from './runtime/kernels/abi.js'
export type { StageTime } from './runtime/model/profile.js'
export type { FullRouting, Routing } from './runtime/model/routes.js'
export type { Stage } from './runtime/model/step.js'
export type { ExpertFigures } from './runtime/residency/expertFigures.js'
export type { SamplerOptions } from './runtime/sampler/samplerOptions.js'
export type { TracedRows, TracedTensor, TracedValues, TraceLoopOptions, TraceOptions, ValuesOf } from './runtime/trace/taps.js'
export type { Matrix } from './runtime/weights/matrixSource.js'
export { MixtralConfig } from './runtime/weights/mixtralConfig.js'
export type { QuantizationName } from './runtime/weights/quantizations.js'
export { WeightLoader, type Weights } from './runtime/weights/weightLoader.js'
export type { ChatMessage, ChatRole, TextPart } from './text/chat/chatMessages.js'
export type { RenderedChat } from './text/chat/chatTemplate.js'
export type { ChatFit, ForgetRule } from './text/generate/chatMemory.js'
export {
  ChatSession,
  type ChatSessionOptions,
  type ChatSessionResult,
  type ChatSessionRules,
  type Said,
} from './text/generate/chatSession.js'
export type { CheckedTensor } from './text/generate/checkedTensor.js'
export type { Embedding, EmbedOptions } from './text/generate/embed.js'
export type {
  ChatOptions,
  ChatTemplateOptions,
  GenerationConfig,
  GenerationOptions,
  LogitBias,
  TextOptions,
} from './text/generate/generationOptions.js'
export type { AnswerStream, ChatResult, GenerationResult, Piece } from './text/generate/generationResult.js'
export { MixtralModel } from './text/generate/mixtralModel.js'
export type { ModelMemory } from './text/generate/modelMemory.js'
export type { ScoredToken, ScoreOptions } from './text/generate/score.js'
export { type RestoredSession, Session, type SessionOptions } from './text/generate/session.js'
export type { DrawnLogprob, TokenLogprob } from './text/generate/tokenLogprobs.js'
export type { TokenModel } from './text/generate/tokenModel.js'
export type { LayerRouting, RoutingOptions, TokenRouting } from './text/generate/tokenRouting.js'
export type { DecodeOptions, StreamingDecoder } from './text/tokenizer/streamingDecoder.js'
export { type EncodeOptions, type Token, Tokenizer } from './text/tokenizer/tokenizer.js'
export type { ToolCall, ToolCallDelta } from './text/tools/toolCalls.js'
export type { ToolChoice, ToolDefinition, ToolOptions } from './text/tools/toolDefinitions.js'

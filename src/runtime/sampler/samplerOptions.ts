// The options of sampling, as a caller gives them. Their ranges, help texts and names elsewhere are samplerTable.ts's.

export interface SamplerOptions {
  /** 0 takes the most likely token every time; higher is more varied. Default 0.8. */
  readonly temperature?: number
  /** Keep this many of the most likely tokens; 0 keeps all. Default 40. */
  readonly topK?: number
  /** Keep the most likely tokens until their probabilities sum to this; 1 keeps all. Default 0.95. */
  readonly topP?: number
  /** Keep tokens at least this times as likely as the most likely one; 0 keeps all. Default 0.05. */
  readonly minP?: number
  /** Makes the tokens of the last places less likely; 1 leaves them alone. Default 1. */
  readonly repetitionPenalty?: number
  /** Subtracted from the logit of a token for each time that it is in the last places. Default 0. */
  readonly frequencyPenalty?: number
  /** Subtracted once from the logit of a token that is in the last places. Default 0. */
  readonly presencePenalty?: number
  /** How many of the last tokens, of prompt and answer, these penalties look at; -1 is all. Default 64. */
  readonly penaltyLastN?: number
  /** Strength of DRY, which makes tokens less likely that would go on with a repetition; 0 is off. Default 0. */
  readonly dryMultiplier?: number
  /** DRY's penalty grows by this factor with each token that a repetition is longer. Default 1.75. */
  readonly dryBase?: number
  /** Shorter repetitions than this are free of DRY. Default 2. */
  readonly dryAllowedLength?: number
  /** How many of the last tokens DRY looks at; -1 is all. Default -1. */
  readonly dryPenaltyLastN?: number
  /** Texts that end a repetition for DRY. Default a new line, a colon, a quotation mark and an asterisk. */
  readonly drySequenceBreakers?: string | readonly string[]
  /** Keep logits within this many standard deviations of the highest; 0 or less keeps all. Default -1. */
  readonly topNSigma?: number
  /**
   * Keep the tokens nearest to the expected surprise until their probabilities sum to more than this; 1 keeps all.
   * Default 1.
   */
  readonly typicalP?: number
  /** Chance that XTC takes the most likely tokens away, all but the last above its threshold. Default 0. */
  readonly xtcProbability?: number
  /** Probability that a token needs for XTC to take it away; above 0.5 none is. Default 0.1. */
  readonly xtcThreshold?: number
  /** The temperature goes this far up and down with the entropy; 0 leaves it. Default 0. */
  readonly dynatempRange?: number
  /** How the temperature follows the entropy: linearly at 1. Default 1. */
  readonly dynatempExponent?: number
  /** 1 or 2: mirostat, in place of all steps but the temperature; 0 is off. Default 0. */
  readonly mirostat?: number
  /** The surprise, in bits a token, that mirostat keeps to. Default 5. */
  readonly mirostatTau?: number
  /** How fast mirostat corrects itself. Default 0.1. */
  readonly mirostatEta?: number
  /** The mean probability of drawn tokens that adaptive-p keeps to; below 0 it is off. Default -1. */
  readonly adaptiveTarget?: number
  /** How slowly adaptive-p forgets. Default 0.9. */
  readonly adaptiveDecay?: number
  /** Typical, top-p, min-p and XTC leave at least this many tokens. Default 0. */
  readonly minKeep?: number
  /**
   * The steps in their order; what is not in the list is not done. Default `penalties, dry, topNSigma, topK, typical,
   * topP, minP, xtc, temperature, adaptiveP`.
   */
  readonly samplers?: readonly string[]
  /**
   * Whole number from 0 to 2^53 - 1: the same seed, the same text. Default: a random one, which the result tells.
   */
  readonly seed?: number
}

/** The options that are numbers, with defaults filled in. */
export type Settings = {
  readonly [Name in keyof SamplerOptions as NonNullable<SamplerOptions[Name]> extends number ? Name : never]-?: number
}

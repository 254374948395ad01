// Well-known names of models, for suggestions where a registry offers no list of its models.

/** Mixtral models and their tags at registry.ollama.ai, which offers no list of its models. */
export const wellKnownNames: readonly string[] = [
  'demo',
  ...['latest', '8x7b', '8x22b', 'instruct', 'text', 'v0.1', 'v0.1-instruct'].map((tag) => `mixtral:${tag}`),
  ...['8x7b-instruct-v0.1', '8x7b-text-v0.1', '8x22b-instruct-v0.1', '8x22b-text-v0.1'].flatMap((base) =>
    [
      'q2_K',
      'q3_K_S',
      'q3_K_M',
      'q3_K_L',
      'q4_0',
      'q4_1',
      'q4_K_S',
      'q4_K_M',
      'q5_0',
      'q5_1',
      'q5_K_S',
      'q5_K_M',
      'q6_K',
      'q8_0',
      'fp16',
    ].map((quantization) => `mixtral:${base}-${quantization}`),
  ),
  'dolphin-mixtral:latest',
  'dolphin-mixtral:8x7b',
  'dolphin-mixtral:8x22b',
  'nous-hermes2-mixtral:latest',
  'nous-hermes2-mixtral:8x7b',
]

// Functions for a model to call: with the library in agent.mjs, or on the command line with
// `mixtral chat --tools examples/tools/weather.mjs`.

const celsius = { Paris: 24, Rome: 31, Oslo: 9 }

export function weather({ city }) {
  return { city, celsius: celsius[city] }
}
weather.description = 'The weather in a city'
weather.parameters = {
  type: 'object',
  properties: { city: { enum: Object.keys(celsius) } },
  required: ['city'],
}

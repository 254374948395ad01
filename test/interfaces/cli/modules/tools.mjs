// Functions for a model to call: one with parameters, and one that fails.

export function weather({ city }) {
  return { city, celsius: 21, note: '\u001b[2J' }
}
weather.description = 'The weather in a city'
weather.parameters = { type: 'object', properties: { city: { enum: ['Paris', 'Rome', 'Oslo'] } }, required: ['city'] }

export default {
  async broken() {
    throw new Error('no luck')
  },
}

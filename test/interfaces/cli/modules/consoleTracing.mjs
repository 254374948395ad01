// A set-up of OpenTelemetry as an application has it: spans are lines on stderr.

import { trace } from '@opentelemetry/api'
import { BasicTracerProvider, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base'

const exporter = {
  export(spans, done) {
    for (const { name, attributes } of spans) process.stderr.write(`span ${name} ${attributes['gen_ai.usage.output_tokens']}\n`)
    done({ code: 0 })
  },
  async shutdown() {},
}
trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }))

// What a server of many models counts of their loads, in the text format of Prometheus.

import type { CatalogHost } from '../models/catalogHost.js'

export function modelMetrics(catalog: CatalogHost): string {
  const loaded = catalog.loaded()
  const bytes = loaded.reduce((sum, { served }) => sum + served.model.memory.totalBytes, 0)
  return [
    '# HELP mixtral_model_loads_total Loads of models, by how they ended.',
    '# TYPE mixtral_model_loads_total counter',
    `mixtral_model_loads_total{outcome="loaded"} ${catalog.loads.loaded}`,
    `mixtral_model_loads_total{outcome="failed"} ${catalog.loads.failed}`,
    '# HELP mixtral_models_loaded Models in memory.',
    '# TYPE mixtral_models_loaded gauge',
    `mixtral_models_loaded ${loaded.length}`,
    '# HELP mixtral_models_bytes Bytes of memory that they take.',
    '# TYPE mixtral_models_bytes gauge',
    `mixtral_models_bytes ${bytes}`,
    '',
  ].join('\n')
}

// What importing the library costs beside empty.mjs.
import '../../../dist/index.js'

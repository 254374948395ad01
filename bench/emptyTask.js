// A worker that does nothing: what a message to a thread and back costs.
export default () => undefined

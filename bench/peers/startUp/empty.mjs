// A module that does nothing: what a process costs.

// The box itself.

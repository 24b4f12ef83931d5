/** A mistake in a call of one of our functions; it is told with the place of the call. */
export class CallError extends Error {}

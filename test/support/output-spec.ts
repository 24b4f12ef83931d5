/** A declared output, for tests that don't care what it is like. */
export const textSpec = {
  contentType: "text/plain",
  lifetime: "infinite",
  garbageCollection: 10,
  streaming: false,
  tags: {},
} as const;

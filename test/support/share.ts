/** Of what takes long each test run does a part, other ones each day. */

/** The number of this day. */
export const today = Math.floor(Date.now() / 86_400_000);

/** Of the requests at which a command is killed one in so many; FEN_EVERY=1 takes all. */
export const oneIn = Number(process.env["FEN_EVERY"] ?? 4);

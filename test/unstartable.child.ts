/** A decoding child that dies while it starts. */
process.exit(1);

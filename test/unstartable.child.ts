/** A child process that dies while it starts. */
process.exit(1);

/**
 * Refuses a Node that is too old. Imported first, for its effect: what follows may use things that
 * such a Node does not have, and would fail in words that help nobody.
 */

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);

if (major < 22 || (major === 22 && minor < 18)) {
  process.stderr.write(
    `Atelier needs Node 22.18 or later and this is ${process.version}. ` +
      'Start it with "npm start", which prefers the Node that is installed with the project.\n',
  );
  process.exit(1);
}

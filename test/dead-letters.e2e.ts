import { describeAdministration } from './dead-letters-suite.js';

describeAdministration('PostgreSQL', async () => ({
  variables: {},
  close: async () => undefined,
}));

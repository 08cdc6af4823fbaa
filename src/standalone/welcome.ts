import { FIRST_ADMINISTRATOR } from './first-administrator.js';

interface Places {
  /** Of the API. */
  base: string;
  workerBase: string;
  dataDir: string;
  isProduction: boolean;
  /** The file that the first administrator signs in with, when one was made. */
  administrator: string | undefined;
}

/** What `npm start` says when everything answers: where things are, and the first two requests. */
export function welcome(where: Places): string {
  const { base, workerBase, dataDir, isProduction, administrator } = where;
  const places = `
Atelier is ready.

  API      ${base}/api/v1
  Docs     ${base}/docs
  Health   ${base}/health  ${base}/health/ready  ${base}/health/capabilities
  Metrics  ${base}/metrics  ${workerBase}/metrics
  Data     ${dataDir}
`;
  return [
    places,
    administrator === undefined ? '' : firstAdministrator(base, administrator),
    isProduction ? '' : firstSteps(base),
  ].join('');
}

/** Not the password: what `npm start` prints may end in a log. */
function firstAdministrator(base: string, file: string): string {
  return `
  ${FIRST_ADMINISTRATOR} is an administrator. The password is in
  ${file}, which signs in as it is:

    curl -s ${base}/auth/login -H 'content-type: application/json' \\
      -d '@${file}'
`;
}

function firstSteps(base: string): string {
  const studio = '{"email":"test@studio.com","password":"test123","name":"Test Studio"}';
  return `
  Sign up as a studio; the answer has an accessToken:

    curl -s ${base}/auth/register -H 'content-type: application/json' \\
      -d '${studio}'

  Then send a picture:

    curl -s ${base}/upload -H 'authorization: Bearer ACCESS_TOKEN' -F image=@picture.jpg
`;
}

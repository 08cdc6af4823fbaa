interface Places {
  /** Of the API. */
  base: string;
  workerBase: string;
  dataDir: string;
  isProduction: boolean;
}

/** What `npm start` says when everything answers: where things are, and the first two requests. */
export function welcome({ base, workerBase, dataDir, isProduction }: Places): string {
  const places = `
Atelier is ready.

  API      ${base}/api/v1
  Docs     ${base}/docs
  Health   ${base}/health  ${base}/health/ready  ${base}/health/capabilities
  Metrics  ${base}/metrics  ${workerBase}/metrics
  Data     ${dataDir}
`;
  return isProduction ? places : `${places}${firstSteps(base)}`;
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

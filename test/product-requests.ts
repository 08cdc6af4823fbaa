import { newId } from '../src/core/ids.js';

/** Registers a new account at a product that runs by itself. @returns its access token */
export async function registerAt(url: string): Promise<string> {
  const account = { email: `${newId()}@example.com`, password: 'long enough', name: 'Someone' };
  const answer = await fetch(`${url}/api/v1/auth/register`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(account),
  });
  if (answer.status !== 201) throw new Error(`Not registered: ${await answer.text()}`);
  return ((await answer.json()) as { accessToken: string }).accessToken;
}

/** Uploads a picture there, as another image each time. */
export function uploadTo(
  url: string,
  token: string,
  picture: Buffer,
  { waitSeconds = 0, signal }: { waitSeconds?: number; signal?: AbortSignal } = {},
): Promise<Response> {
  return fetch(`${url}/api/v1/images/upload?force=true&wait=${waitSeconds}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}` },
    body: pictureForm(picture),
    ...(signal && { signal }),
  });
}

/** The form of an upload. */
export function pictureForm(picture: Buffer): FormData {
  const form = new FormData();
  form.set('image', new Blob([new Uint8Array(picture)]));
  return form;
}

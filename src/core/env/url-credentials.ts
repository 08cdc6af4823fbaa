/** Whether what stands before the @ of a URL can be read as it was meant. */
export function hasEscapedCredentials({ username, password }: URL): boolean {
  try {
    decodeURIComponent(username + password);
    return true;
  } catch {
    return false;
  }
}

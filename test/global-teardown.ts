export default async function globalTeardown(): Promise<void> {
  await (globalThis as { stopTests?: () => Promise<void> }).stopTests?.();
}

const STOP_SIGNALS: readonly NodeJS.Signals[] = ['SIGTERM', 'SIGINT', 'SIGHUP'];

/**
 * Calls a listener for each signal that asks the process to stop, and keeps them from ending it. One
 * wish may come twice: npm repeats what a terminal has sent to everyone.
 */
export function onStopSignal(listener: (signal: NodeJS.Signals) => void): void {
  for (const signal of STOP_SIGNALS) process.on(signal, listener);
}

/** Signal numbers by name, as kill(1) and the OCI command line spell them. Source: Linux arch/x86/include/uapi/asm/signal.h. */
export const SIGNALS = {
  SIGHUP: 1, SIGINT: 2, SIGQUIT: 3, SIGILL: 4, SIGTRAP: 5, SIGABRT: 6, SIGBUS: 7, SIGFPE: 8, SIGKILL: 9, SIGUSR1: 10, SIGSEGV: 11,
  SIGUSR2: 12, SIGPIPE: 13, SIGALRM: 14, SIGTERM: 15, SIGSTKFLT: 16, SIGCHLD: 17, SIGCONT: 18, SIGSTOP: 19, SIGTSTP: 20, SIGTTIN: 21,
  SIGTTOU: 22, SIGURG: 23, SIGXCPU: 24, SIGXFSZ: 25, SIGVTALRM: 26, SIGPROF: 27, SIGWINCH: 28, SIGIO: 29, SIGPWR: 30, SIGSYS: 31,
} as const;

const SIGRTMIN = 34;
const SIGRTMAX = 64;

/**
 * Parses `TERM`, `SIGTERM`, `sigterm`, `15`, `RTMIN+1` or `0`.
 * @returns a number from 0 to 64, or undefined where it is none.
 */
export function parseSignal(text: string): number | undefined {
  if (/^\d+$/.test(text)) {
    const number = Number(text);
    return number <= SIGRTMAX ? number : undefined;
  }
  const name = text.toUpperCase().replace(/^(?!SIG)/, "SIG");
  const realtime = /^SIGRT(MIN|MAX)([+-]\d+)?$/.exec(name);
  if (realtime !== null) return realtimeSignal(realtime[1] === "MIN" ? SIGRTMIN : SIGRTMAX, Number(realtime[2] ?? 0));
  return (SIGNALS as Record<string, number>)[name];
}

function realtimeSignal(base: number, offset: number): number | undefined {
  const number = base + offset;
  return number >= SIGRTMIN && number <= SIGRTMAX ? number : undefined;
}

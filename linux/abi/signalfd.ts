/** signalfd(2). Source: Linux include/uapi/linux/signalfd.h. */

export const SFD_NONBLOCK = 0o4000;
export const SFD_CLOEXEC = 0o2000000;

/** Size of struct signalfd_siginfo. */
export const SIGNALFD_SIGINFO_SIZE = 128;

export interface SignalInfo {
  readonly signal: number;
  /** `SI_*` or, for SIGCHLD, `CLD_*`. */
  readonly code: number;
  /** The sender; 0 where it is outside our pid namespace. */
  readonly pid: number;
  readonly uid: number;
  /** SIGCHLD: exit code or signal. */
  readonly status: number;
}

export function decodeSignalInfo(view: DataView): SignalInfo {
  return {
    signal: view.getUint32(0, true),
    code: view.getInt32(8, true),
    pid: view.getUint32(12, true),
    uid: view.getUint32(16, true),
    status: view.getInt32(40, true),
  };
}

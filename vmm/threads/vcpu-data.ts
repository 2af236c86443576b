/** What the device thread hands to a vCPU's thread when it starts it: numbers and shared memory. The vCPU itself comes later, by the mailbox. */
export interface VcpuThreadData {
  readonly mailbox: SharedArrayBuffer;
  /** An eventfd that wakes the device thread. */
  readonly doorbell: number;
  readonly interruptStatus: Int32Array;
  readonly serial: Int32Array;
  /** An eventfd that is an edge on the serial port's interrupt line. */
  readonly serialInterrupt: number;
  readonly rtc: Int32Array;
  /** Where the serial port's output goes. */
  readonly consoleFd: number;
}

/** Ends KVM_RUN. A real-time signal (signal(7)) that neither libc nor V8 uses. */
export const KICK_SIGNAL = 40;

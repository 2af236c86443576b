// The calls that 32-bit x86, s390, ppc and others also offer through socketcall(2) and ipc(2), whose first argument is
// the call's number (include/uapi/linux/net.h, ipc.h) and whose second, for socketcall, points to the real arguments.
import type { ArgCheck, Rule } from "./policy.ts";

const socketcalls: Record<string, number> = {
  socket: 1,
  bind: 2,
  connect: 3,
  listen: 4,
  accept: 5,
  getsockname: 6,
  getpeername: 7,
  socketpair: 8,
  send: 9,
  recv: 10,
  sendto: 11,
  recvfrom: 12,
  shutdown: 13,
  setsockopt: 14,
  getsockopt: 15,
  sendmsg: 16,
  recvmsg: 17,
  accept4: 18,
  recvmmsg: 19,
  sendmmsg: 20,
};

const ipcs: Record<string, number> = {
  semop: 1,
  semget: 2,
  semctl: 3,
  semtimedop: 4,
  msgsnd: 11,
  msgrcv: 12,
  msgget: 13,
  msgctl: 14,
  shmat: 21,
  shmdt: 22,
  shmget: 23,
  shmctl: 24,
};

// socketcall takes an int; ipc keeps a version above the lower 16 bits.
const through = [
  { name: "socketcall", mask: 0xffff_ffff, numbers: socketcalls },
  { name: "ipc", mask: 0xffff, numbers: ipcs },
] as const;

const numberIn = (numbers: Readonly<Record<string, number>>, name: string): number | undefined =>
  Object.hasOwn(numbers, name) ? numbers[name] : undefined;

/** What a rule says about its calls when they come through socketcall or ipc. */
export function multiplexed(rule: Rule): Rule[] {
  const { names, args: _, ...outcome } = rule;
  return through.flatMap(({ name, mask, numbers }) =>
    names.flatMap((each): Rule[] => {
      const number = numberIn(numbers, each);
      if (number === undefined) return [];
      const isCall: ArgCheck = { index: 0, op: "masked-eq", value: mask, valueTwo: number };
      return [{ names: [name], ...outcome, args: [isCall] }];
    }),
  );
}

import { INTERFACE_COMMANDS, SIOCGIFCONF } from "../../../linux/abi/socket.ts";
import { named } from "../checks.ts";
import { denied, native } from "../row.ts";
import type { Area } from "../row.ts";

// asm-generic/ioctls.h, linux/sockios.h; checked against the headers in test/kernel/policies/constants.test.ts.
export const nativeIoctls = {
  descriptor: { FIONREAD: 0x541b, FIONBIO: 0x5421, FIONCLEX: 0x5450, FIOCLEX: 0x5451, FIOASYNC: 0x5452 },
  terminal: {
    TCGETS: 0x5401,
    TCSETS: 0x5402,
    TCSETSW: 0x5403,
    TCSETSF: 0x5404,
    TCGETA: 0x5405,
    TCSETA: 0x5406,
    TCSETAW: 0x5407,
    TCSETAF: 0x5408,
    TCSBRK: 0x5409,
    TCXONC: 0x540a,
    TCFLSH: 0x540b,
    TIOCEXCL: 0x540c,
    TIOCNXCL: 0x540d,
    TIOCSCTTY: 0x540e,
    TIOCGPGRP: 0x540f,
    TIOCSPGRP: 0x5410,
    TIOCOUTQ: 0x5411,
    TIOCGWINSZ: 0x5413,
    TIOCSWINSZ: 0x5414,
    TIOCNOTTY: 0x5422,
    TIOCGETD: 0x5424,
    TCSBRKP: 0x5425,
    TIOCGSID: 0x5429,
    TCGETS2: 0x802c_542a,
    TCSETS2: 0x402c_542b,
    TCSETSW2: 0x402c_542c,
    TCSETSF2: 0x402c_542d,
  },
  pty: { TIOCPKT: 0x5420, TIOCGPTN: 0x8004_5430, TIOCSPTLCK: 0x4004_5431, TIOCGPKT: 0x8004_5438, TIOCGPTLCK: 0x8004_5439, TIOCGPTPEER: 0x5441 },
  socket: { FIOSETOWN: 0x8901, SIOCSPGRP: 0x8902, FIOGETOWN: 0x8903, SIOCGPGRP: 0x8904, SIOCATMARK: 0x8905 },
  interface: { ...INTERFACE_COMMANDS, SIOCGIFCONF, SIOCGIFMAP: 0x8970 },
};

/** Typing for others, the console's paste buffer, other line disciplines (kernel modules), the console's output, hanging up. */
export const deniedIoctls = { TIOCSTI: 0x5412, TIOCLINUX: 0x541c, TIOCCONS: 0x541d, TIOCSETD: 0x5423, TIOCVHANGUP: 0x5437 };

export const terminals: Area = {
  title: "Devices and terminals",
  groups: [
    {
      reason: "By command: terminals, descriptors, sockets, and reading about interfaces of the own network namespace. All others look as unknown to the file as most are",
      names: "ioctl",
      cases: [...Object.values(nativeIoctls).map((commands) => named(1, commands, native)), named(1, deniedIoctls, denied("EPERM"))],
      outcome: denied("ENOTTY"),
    },
  ],
};

/** From a call's name to what answers it: calls/ has handlers by the man page. */
import { strictlyTrapped, type StrictlyAnswered, type StrictlyTrapped } from "../../policies/syscalls/trapped.ts";
import { CONTINUE } from "../platform/platform.ts";
import * as chmod from "./calls/chmod.ts";
import * as chroot from "./calls/chroot.ts";
import * as connect from "./calls/connect.ts";
import * as directory from "./calls/directory.ts";
import * as epollWait from "./calls/epoll-wait.ts";
import * as epoll from "./calls/epoll.ts";
import * as eventfd from "./calls/eventfd.ts";
import * as fcntl from "./calls/fcntl.ts";
import * as fsync from "./calls/fsync.ts";
import * as inotify from "./calls/inotify.ts";
import * as ioctl from "./calls/ioctl.ts";
import * as lend from "./calls/lend.ts";
import * as link from "./calls/link.ts";
import * as memfd from "./calls/memfd.ts";
import * as open from "./calls/open.ts";
import * as pipe from "./calls/pipe.ts";
import * as poll from "./calls/poll.ts";
import * as readWrite from "./calls/read-write.ts";
import * as receive from "./calls/receive.ts";
import * as rlimit from "./calls/rlimit.ts";
import * as send from "./calls/send.ts";
import * as signalfd from "./calls/signalfd.ts";
import * as socket from "./calls/socket.ts";
import * as splice from "./calls/splice.ts";
import * as stat from "./calls/stat.ts";
import * as timerfd from "./calls/timerfd.ts";
import * as truncate from "./calls/truncate.ts";
import * as xattr from "./calls/xattr.ts";
import type { Handler } from "./strict.ts";

/** The sandbox's own kernel answers these under every policy (sentry/dispatch.ts). */
const SHARED = ["sync", "sysinfo", "uname"] as const;
type Shared = (typeof SHARED)[number];

const answered: Readonly<Record<Exclude<StrictlyAnswered, Shared>, Handler> & Partial<Record<StrictlyTrapped, Handler>>> = {
  ...chmod, ...chroot, ...connect, ...directory, ...epoll, ...epollWait, ...eventfd, ...fcntl, ...fsync, ...inotify, ...ioctl, ...lend, ...link, ...memfd, ...open, ...pipe, ...poll,
  ...readWrite, ...receive, ...rlimit, ...send, ...signalfd, ...socket, ...splice, ...stat, ...timerfd, ...truncate, ...xattr,
};

/** The caller may be somebody else afterwards. Source: credentials(7). */
const IDENTITY: ReadonlySet<string> = new Set(["capset", "execve", "execveat", "setfsgid", "setfsuid", "setgid", "setgroups", "setregid", "setresgid", "setresuid", "setreuid", "setuid"]);

/** Source: chdir(2), umask(2). */
const SURROUNDINGS: ReadonlySet<string> = new Set(["chdir", "umask"]);

const goOn: Handler = () => CONTINUE;

const becomeAndGoOn: Handler = (call, strict) => {
  strict.callers.becomes(call);
  return CONTINUE;
};

/** Its working directory or its mask of modes are to be asked for anew. */
const moveAndGoOn: Handler = (call, strict) => {
  strict.callers.moves(call);
  return CONTINUE;
};

const continued = (name: string): Handler => (IDENTITY.has(name) ? becomeAndGoOn : SURROUNDINGS.has(name) ? moveAndGoOn : goOn);
const isShared = (name: string): boolean => SHARED.some((shared) => shared === name);
const handlerOf = (name: StrictlyTrapped): Handler => answered[name] ?? continued(name);

export const strictHandlers: Readonly<Record<string, Handler>> = Object.fromEntries(strictlyTrapped.filter((name) => !isShared(name)).map((name) => [name, handlerOf(name)]));

/** `tmpcopyup`: what a new tmpfs is about to hide is copied into it first. */
import * as fcntl from "../../linux/abi/fcntl.ts";
import type { Fd } from "../../linux/fd.ts";
import * as file from "../../linux/file.ts";

const CHUNK = 65536;

/** Copies the content of directory `from` into `to`. Devices, sockets and FIFOs are left out. */
export function copyUp(from: Fd, to: Fd): void {
  using source = file.openAt(from, ".", fcntl.O_RDONLY | fcntl.O_DIRECTORY);
  copyEntries(source, to);
}

function copyEntries(source: Fd, target: Fd): void {
  for (const name of file.listDirectory(source)) copyEntry(source, target, name);
}

function copyEntry(source: Fd, target: Fd, name: string): void {
  const { mode, uid, gid } = file.statAt(source, name);
  switch (mode & fcntl.S_IFMT) {
    case fcntl.S_IFDIR: {
      file.makeDirectoryAt(target, name, 0o700);
      using inner = file.openAt(source, name, fcntl.O_RDONLY | fcntl.O_DIRECTORY | fcntl.O_NOFOLLOW);
      using copy = file.openAt(target, name, fcntl.O_RDONLY | fcntl.O_DIRECTORY | fcntl.O_NOFOLLOW);
      copyEntries(inner, copy);
      file.changeOwner(copy, uid, gid);
      file.changeModeAt(target, name, mode & 0o7777);
      return;
    }
    case fcntl.S_IFREG: {
      using inner = file.openAt(source, name, fcntl.O_RDONLY | fcntl.O_NOFOLLOW);
      using copy = file.openAt(target, name, fcntl.O_CREAT | fcntl.O_EXCL | fcntl.O_WRONLY, { mode: 0o600 });
      for (let chunk = file.read(inner, CHUNK); chunk.length > 0; chunk = file.read(inner, CHUNK)) file.writeAll(copy, chunk);
      file.changeOwner(copy, uid, gid);
      file.changeModeAt(target, name, mode & 0o7777);
      return;
    }
    case fcntl.S_IFLNK: {
      file.symlinkAt(file.readLinkAt(source, name), target, name);
      using link = file.openAt(target, name, fcntl.O_PATH | fcntl.O_NOFOLLOW);
      file.changeOwner(link, uid, gid);
      return;
    }
    default:
  }
}
